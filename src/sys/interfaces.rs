//! The machine's network interfaces: the addresses to print for clients, and
//! the one that `iface=` means.
#![expect(unsafe_code, reason = "getifaddrs(3) answers a linked list of pointers")]

use super::address::RawAddr;
use super::error::{SysError, SysResult};
use std::ffi::{CStr, CString};
use std::io;
use std::net::IpAddr;

/// The interface that `iface=` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index, as the kernel counts.
    pub index: u32,
    /// The address, if it was named by one.
    pub address: Option<IpAddr>,
}

/// One address of one interface.
struct Entry {
    name: CString,
    up: bool,
    address: IpAddr,
}

/// The addresses that clients may use, in the kernel's order, loopback
/// included: those of interfaces that are up, without IPv6 link-local ones,
/// which are no use without the client's own interface name.
///
/// # Errors
/// The kernel's.
pub fn addresses() -> SysResult<Vec<IpAddr>> {
    let mut found = Vec::new();
    for entry in entries()? {
        let of_use = match entry.address {
            IpAddr::V4(_) => true,
            IpAddr::V6(six) => !six.is_unicast_link_local(),
        };
        if entry.up && of_use && !found.contains(&entry.address) {
            found.push(entry.address);
        }
    }
    Ok(found)
}

/// Finds an interface by its name (`eth0`) or by an address that it has.
///
/// # Errors
/// Names what there is instead.
pub fn find(iface: &str) -> SysResult<Interface> {
    let unknown = || -> SysError {
        let known = entries().unwrap_or_default();
        let known: Vec<String> =
            known.iter().map(|e| format!("{} {}", e.name.to_string_lossy(), e.address)).collect();
        let why = format!("no such interface or address here; there are: {}", known.join(", "));
        SysError::refused("iface", iface, why)
    };
    if let Ok(address) = iface.parse::<IpAddr>() {
        let entry = entries()?.into_iter().find(|e| e.address == address);
        let index = entry.and_then(|e| index_of(&e.name)).ok_or_else(unknown)?;
        return Ok(Interface { index, address: Some(address) });
    }
    let index = CString::new(iface).ok().and_then(|name| index_of(&name)).ok_or_else(unknown)?;
    Ok(Interface { index, address: None })
}

fn index_of(name: &CStr) -> Option<u32> {
    // SAFETY: the call reads a C string, which `name` is.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// The list that getifaddrs(3) made, freed when done with.
struct List(*mut libc::ifaddrs);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) };
    }
}

fn entries() -> SysResult<Vec<Entry>> {
    let mut list = List(std::ptr::null_mut());
    // SAFETY: the call writes one pointer.
    if unsafe { libc::getifaddrs(&raw mut list.0) } == -1 {
        return Err(SysError::new("getifaddrs", "", io::Error::last_os_error()));
    }
    let mut found = Vec::new();
    let mut next = list.0;
    // SAFETY: `next` is null or a node of the list, which lives as long as
    // `list` does.
    while let Some(node) = unsafe { next.as_ref() } {
        next = node.ifa_next;
        // SAFETY: a node's address is null or points to a sockaddr whose
        // length its family tells.
        let Some(raw) = (unsafe { RawAddr::copied(node.ifa_addr) }) else {
            continue;
        };
        let Ok(address) = raw.decode() else { continue };
        // SAFETY: a node's name is a C string that lives as long as it.
        let name = unsafe { CStr::from_ptr(node.ifa_name) };
        found.push(Entry {
            name: name.to_owned(),
            up: node.ifa_flags & libc::IFF_UP as libc::c_uint != 0,
            address: address.ip(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn loopback_is_there_and_link_local_is_not() {
        let found = addresses().unwrap();
        assert!(found.contains(&Ipv4Addr::LOCALHOST.into()), "{found:?}");
        for address in &found {
            if let IpAddr::V6(six) = address {
                assert!(!six.is_unicast_link_local(), "{six}");
            }
        }
    }

    #[test]
    fn found_by_name_and_by_address() {
        let named = find("lo").unwrap();
        let addressed = find("127.0.0.1").unwrap();
        assert_eq!(named.index, addressed.index);
        assert_eq!(named.address, None);
        assert_eq!(addressed.address, Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn unknown_ones_are_answered_with_what_there_is() {
        for iface in ["no-such-if0", "203.0.113.77", "a\0b", ""] {
            let text = find(iface).unwrap_err().to_string();
            assert!(text.starts_with(&format!("iface {iface}")) || iface.is_empty(), "{text}");
            assert!(text.contains("there are: lo 127.0.0.1"), "{text}");
        }
    }
}

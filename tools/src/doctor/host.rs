//! Reading of /proc and /sys, apart from judging; and who this process is.

use std::fs;

use super::finding::{Place, Seal};

/// Bits of `CapEff`, capabilities(7).
const CAP_NET_RAW: u32 = 13;
/// How uid_map reads where nobody made a user namespace, user_namespaces(7).
const EVERYBODY: [&str; 3] = ["0", "0", "4294967295"];

/// The text of a file without its last line's end; `None` where there is none,
/// or it may not be read.
pub(super) fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// Whether settings of the network namespace can be changed by this process:
/// the file is opened for writing, and nothing is written.
pub(super) fn owns_network() -> bool {
    let path = "/proc/sys/net/ipv4/ping_group_range";
    fs::OpenOptions::new().write(true).open(path).is_ok()
}

/// Who this process is, by `/proc/self/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) uid: u32,
    /// The effective group, and the supplementary ones.
    pub(super) groups: Vec<u32>,
    pub(super) net_raw: bool,
    pub(super) no_new_privs: bool,
}

impl Who {
    pub(super) fn read(status: &str) -> Self {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
        };
        let numbers = |name: &str| -> Vec<u32> {
            field(name).split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        // "Uid:" lists the real, effective, saved and file-system id.
        let effective = |ids: Vec<u32>| ids.get(1).copied();
        let capabilities = u64::from_str_radix(field("CapEff:"), 16).unwrap_or_default();
        Self {
            uid: effective(numbers("Uid:")).unwrap_or(u32::MAX),
            groups: effective(numbers("Gid:")).into_iter().chain(numbers("Groups:")).collect(),
            net_raw: capabilities & (1 << CAP_NET_RAW) != 0,
            no_new_privs: field("NoNewPrivs:") == "1",
        }
    }

    /// Where it is: `uid_map` and `mountinfo` of `/proc/self`.
    pub(super) fn place(&self, uid_map: &str, mountinfo: &str) -> Place {
        let mapped = uid_map.split_whitespace().collect::<Vec<_>>();
        let seal = if is_read_only(mountinfo, "/proc/sys") {
            Seal::Container
        } else if mapped.is_empty() || mapped == EVERYBODY {
            Seal::Open
        } else {
            Seal::Users
        };
        Place { root: self.uid == 0, seal, owns_network: false }
    }
}

/// Whether `point`, by its own mount, is read-only. A line of mountinfo has the
/// mount point as its fifth word and the mount's options as its sixth; proc(5).
fn is_read_only(mountinfo: &str, point: &str) -> bool {
    mountinfo.lines().any(|line| {
        let words: Vec<_> = line.split(' ').take(6).collect();
        words.get(4) == Some(&point)
            && words.get(5).is_some_and(|options| options.split(',').any(|option| option == "ro"))
    })
}

/// Reads a list of cores as the kernel writes it: `0-3,8`. Empty if it is none.
pub(super) fn cores(list: &str) -> Vec<usize> {
    let run = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // A list longer than any machine's is not believed.
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if last < nearlight::limits::CPUS => first..last + 1,
            (Ok(_), Ok(_)) | (Err(_), _) | (_, Err(_)) => 0..0,
        }
    };
    list.split(',').flat_map(run).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A user's, on a host of his own.
    pub(in crate::doctor) const USER: &str = "Name:\tlightmeter\nUid:\t1000\t1000\t1000\t1000\n\
        Gid:\t1000\t1000\t1000\t1000\nGroups:\t27 100 1000 \nCapEff:\t0000000000000000\n\
        NoNewPrivs:\t0\n";

    #[test]
    fn who_is_read_from_status() {
        let user = Who::read(USER);
        assert_eq!((user.uid, &user.groups[..]), (1000, &[1000, 27, 100, 1000][..]));
        assert!(!user.net_raw && !user.no_new_privs);
        // As in a container of root's with docker's usual capabilities.
        let text = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \n\
                    CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\n";
        let root = Who::read(text);
        assert!(root.uid == 0 && root.net_raw && root.no_new_privs);
        // Nothing to read: nobody, who may do nothing.
        assert_eq!(Who::read("").uid, u32::MAX);
    }

    #[test]
    fn settings_are_out_of_reach_in_containers_and_user_namespaces() {
        let open = "22 27 0:21 / /proc rw,relatime - proc proc rw\n";
        let docker = "602 601 0:55 / /proc rw,nosuid - proc proc rw\n\
                      500 602 0:55 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw\n";
        let root = Who { uid: 0, ..Who::default() };
        let all = "         0          0 4294967295\n";
        assert_eq!(root.place(all, open), Place { root: true, ..Place::default() });
        assert_eq!(root.place(all, docker).seal, Seal::Container);
        assert_eq!(root.place("0 1000 1\n", open).seal, Seal::Users);
        assert!(!Who::read(USER).place(all, open).root);
    }

    #[test]
    fn lists_of_cores() {
        assert_eq!(cores("0-2,5,7-8"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(cores("3"), [3]);
        for wrong in ["", "x", "1-", "5-4", "0-99999999999"] {
            assert!(cores(wrong).is_empty(), "{wrong}");
        }
    }
}

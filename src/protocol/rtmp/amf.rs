//! AMF0, in which RTMP's commands are written (Adobe, "Action Message Format
//! -- AMF 0"): a reader that walks over the bytes and builds nothing, for all
//! but a few values are of no interest, and a writer for our own few.
//!
//! Nothing recurses: values inside each other are counted up to
//! `limits::AMF_DEPTH`, and each step takes a byte at least.

use crate::limits::AMF_DEPTH;

/// Markers, section 2.1.
mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const REFERENCE: u8 = 7;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
    pub(super) const DATE: u8 = 11;
    pub(super) const LONG_STRING: u8 = 12;
    pub(super) const UNSUPPORTED: u8 = 13;
    pub(super) const XML: u8 = 15;
    pub(super) const TYPED_OBJECT: u8 = 16;
}

/// A place in a row of values. A method that answers `None` leaves it where it
/// was, or, where the bytes are malformed, somewhere inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// What a value that is being walked over lies in.
#[derive(Clone, Copy)]
enum Inside {
    /// Of named values, up to the end marker.
    Object,
    /// Of so many more values.
    Array(u32),
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes that are left.
    #[cfg(test)]
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// Text behind its length in 16 bits.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    /// Text behind its length in 32 bits.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }

    /// The next value, if it begins with `marker`; what follows the marker.
    fn behind(self, marker: u8) -> Option<Self> {
        let (first, rest) = self.0.split_first()?;
        (*first == marker).then_some(Self(rest))
    }

    pub(super) fn number(&mut self) -> Option<f64> {
        let mut inner = self.behind(marker::NUMBER)?;
        let number = f64::from_be_bytes(inner.array()?);
        *self = inner;
        Some(number)
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        let mut inner = self.behind(marker::BOOLEAN)?;
        let [byte] = inner.array()?;
        *self = inner;
        Some(byte != 0)
    }

    /// A string that is UTF-8, as all are (section 1.3.1).
    pub(super) fn string(&mut self) -> Option<&'a str> {
        let (inner, text) = if let Some(mut inner) = self.behind(marker::STRING) {
            let text = inner.short()?;
            (inner, text)
        } else {
            let mut inner = self.behind(marker::LONG_STRING)?;
            let text = inner.long()?;
            (inner, text)
        };
        let text = std::str::from_utf8(text).ok()?;
        *self = inner;
        Some(text)
    }

    /// The next value as it stands there, marker included, if it is whole.
    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.skip()?;
        before.get(..before.len() - self.0.len())
    }

    /// The value called `key` of the object that comes next. Its end may be
    /// missing, as clients have left it out.
    pub(super) fn field(self, key: &str) -> Option<Self> {
        let mut at = if let Some(inner) = self.behind(marker::OBJECT) {
            inner
        } else {
            let mut inner = self.behind(marker::ECMA_ARRAY)?;
            inner.array::<4>()?;
            inner
        };
        loop {
            if at.at_end() {
                return None;
            }
            if at.short()? == key.as_bytes() {
                return Some(at);
            }
            at.skip()?;
        }
    }

    fn at_end(&self) -> bool {
        self.0.starts_with(&[0, 0, marker::OBJECT_END])
    }

    /// Walks over one value with all that is in it.
    fn skip(&mut self) -> Option<()> {
        let mut around = [Inside::Object; AMF_DEPTH];
        let mut depth = 0;
        loop {
            if let Some(inside) = self.skip_simple()? {
                *around.get_mut(depth)? = inside;
                depth += 1;
            }
            // Up to where the next value begins.
            loop {
                let Some(inside) = depth.checked_sub(1).and_then(|n| around.get_mut(n)) else {
                    return Some(());
                };
                match inside {
                    Inside::Object if self.at_end() => drop(self.take(3)?),
                    Inside::Object => {
                        self.short()?;
                        break;
                    }
                    Inside::Array(0) => {}
                    Inside::Array(left) => {
                        *left -= 1;
                        break;
                    }
                }
                depth -= 1;
            }
        }
    }

    /// Walks over a value that has no others in it, or up to the first of
    /// those that it has.
    fn skip_simple(&mut self) -> Option<Option<Inside>> {
        let [marker] = self.array()?;
        match marker {
            marker::NUMBER => drop(self.take(8)?),
            marker::BOOLEAN => drop(self.take(1)?),
            marker::REFERENCE => drop(self.take(2)?),
            marker::DATE => drop(self.take(10)?),
            marker::STRING => drop(self.short()?),
            marker::LONG_STRING | marker::XML => drop(self.long()?),
            marker::NULL | marker::UNDEFINED | marker::UNSUPPORTED => {}
            marker::OBJECT => return Some(Some(Inside::Object)),
            marker::ECMA_ARRAY => {
                self.take(4)?;
                return Some(Some(Inside::Object));
            }
            marker::TYPED_OBJECT => {
                self.short()?;
                return Some(Some(Inside::Object));
            }
            marker::STRICT_ARRAY => {
                return Some(Some(Inside::Array(u32::from_be_bytes(self.array()?))));
            }
            _ => return None,
        }
        Some(None)
    }
}

/// A command (RTMP 1.0, 7.2): its name, its transaction and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command<'a> {
    pub(super) name: &'a str,
    /// 0 where no answer is wanted.
    pub(super) id: f64,
    /// The command object, if there is one.
    pub(super) object: Reader<'a>,
    /// What follows it.
    pub(super) arguments: Reader<'a>,
}

impl<'a> Command<'a> {
    /// Reads one; missing parts at the end are as good as empty.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let name = reader.string()?;
        let id = reader.number().unwrap_or(0.0);
        let object = reader;
        let arguments = match reader.skip() {
            Some(()) => reader,
            None => Reader::new(&[]),
        };
        Some(Self { name, id, object, arguments })
    }
}

/// Values being written one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Begins a command: its name and its transaction.
    pub(super) fn command(name: &str, id: f64) -> Self {
        Self::default().string(name).number(id)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn short(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(text.bytes().take(usize::from(length)));
    }

    pub(super) fn number(mut self, number: f64) -> Self {
        self.0.push(marker::NUMBER);
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn boolean(mut self, value: bool) -> Self {
        self.0.extend([marker::BOOLEAN, u8::from(value)]);
        self
    }

    pub(super) fn string(mut self, text: &str) -> Self {
        self.0.push(marker::STRING);
        self.short(text);
        self
    }

    pub(super) fn null(mut self) -> Self {
        self.0.push(marker::NULL);
        self
    }

    /// Begins an object; [`Self::key`] and a value follow in turn, then
    /// [`Self::end`].
    pub(super) fn object(mut self) -> Self {
        self.0.push(marker::OBJECT);
        self
    }

    pub(super) fn key(mut self, name: &str) -> Self {
        self.short(name);
        self
    }

    pub(super) fn end(mut self) -> Self {
        self.0.extend([0, 0, marker::OBJECT_END]);
        self
    }

    /// An array of strings.
    pub(super) fn strings(mut self, list: &[&str]) -> Self {
        self.0.push(marker::STRICT_ARRAY);
        self.0.extend(u32::try_from(list.len()).unwrap_or(0).to_be_bytes());
        list.iter().fold(self, |writer, text| writer.string(text))
    }

    /// A value that was written before.
    pub(super) fn value(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the AMF 0 document shows, and what commands look like.
    fn command() -> Vec<u8> {
        Writer::command("connect", 1.0)
            .object()
            .key("app")
            .string("live")
            .key("deep")
            .object()
            .key("list")
            .strings(&["a", "b"])
            .end()
            .key("number")
            .number(-2.5)
            .key("flag")
            .boolean(true)
            .end()
            .null()
            .string("behind")
            .bytes()
    }

    #[test]
    fn a_command_is_read_as_it_was_written() {
        let bytes = command();
        let read = Command::parse(&bytes).unwrap();
        assert_eq!((read.name, read.id), ("connect", 1.0));
        assert_eq!(read.object.field("app").and_then(|mut value| value.string()), Some("live"));
        assert_eq!(read.object.field("number").and_then(|mut value| value.number()), Some(-2.5));
        assert_eq!(read.object.field("flag").and_then(|mut value| value.boolean()), Some(true));
        assert!(read.object.field("other").is_none());
        let deep = read.object.field("deep").unwrap();
        let mut list = deep.field("list").unwrap();
        assert_eq!(list.value(), Some(&b"\x0a\0\0\0\x02\x02\0\x01a\x02\0\x01b"[..]));
        let mut arguments = read.arguments;
        assert_eq!(arguments.value(), Some(&[5][..]));
        assert_eq!(arguments.string(), Some("behind"));
        assert_eq!(arguments.rest(), b"");
    }

    #[test]
    fn every_kind_of_value_is_walked_over() {
        for value in [
            &b"\x00\x3f\xf0\0\0\0\0\0\0"[..],
            b"\x01\x01",
            b"\x02\0\x02ab",
            b"\x03\0\x01a\x05\0\0\x09",
            b"\x05",
            b"\x06",
            b"\x07\0\x01",
            b"\x08\0\0\0\x01\0\x01a\x01\0\0\0\x09",
            b"\x0a\0\0\0\x02\x05\x06",
            b"\x0a\0\0\0\0",
            b"\x0b\0\0\0\0\0\0\0\0\0\0",
            b"\x0c\0\0\0\x02ab",
            b"\x0d",
            b"\x0f\0\0\0\x01x",
            b"\x10\0\x01C\0\x01a\x05\0\0\x09",
        ] {
            let mut bytes = value.to_vec();
            bytes.push(0xee);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.value(), Some(value));
            assert_eq!(reader.rest(), [0xee]);
            for end in 0..value.len() {
                assert_eq!(Reader::new(&value[..end]).value(), None, "{value:?} cut at {end}");
            }
        }
        for wrong in [&b"\x04"[..], b"\x09", b"\x0e", b"\x11\x01", b"\xff"] {
            assert_eq!(Reader::new(wrong).value(), None, "{wrong:?}");
        }
    }

    #[test]
    fn values_inside_each_other_are_bounded() {
        let nested = |depth: usize| {
            let mut bytes = b"\x0a\0\0\0\x01".repeat(depth);
            bytes.push(5);
            Reader::new(&bytes).value().is_some()
        };
        assert!(nested(AMF_DEPTH));
        assert!(!nested(AMF_DEPTH + 1));
        assert!(!nested(100_000));
        // A count is believed no further than there are bytes.
        assert_eq!(Reader::new(b"\x0a\xff\xff\xff\xff\x05\x05").value(), None);
    }

    #[test]
    fn parts_at_the_end_of_a_command_may_be_missing() {
        let bytes = command();
        for end in 0..bytes.len() {
            if let Some(read) = Command::parse(&bytes[..end]) {
                assert_eq!(read.name, "connect", "at {end}");
            }
        }
        let unended = b"\x02\0\x01c\x00\0\0\0\0\0\0\0\0\x03\0\x03app\x02\0\x01a";
        let read = Command::parse(unended).unwrap();
        assert_eq!(read.object.field("app").and_then(|mut value| value.string()), Some("a"));
        assert!(Command::parse(b"\x05").is_none());
    }
}

//! FLV as it is written (Adobe Flash Video File Format 10.1, annex E; Enhanced
//! RTMP v1 for H.265), and the AMF0 of `onMetaData` (AMF0 2.2 to 2.10).

use super::timeline::Stamp;

/// What a tag holds, E.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagType {
    Audio = 8,
    Video = 9,
    Script = 18,
}

/// Bytes of a tag's header.
const TAG_HEADER: usize = 11;

/// Appends the file header and the size of the tag before the first, E.2, E.3.
pub(super) fn header(audio: bool, video: bool, out: &mut Vec<u8>) {
    let flags = u8::from(audio) << 2 | u8::from(video);
    out.extend([b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
}

/// Appends a tag whose data is `front` and `data`, and its size, E.4.1.
pub(super) fn tag(kind: TagType, ms: u32, front: &[u8], data: &[u8], out: &mut Vec<u8>) {
    let size = (front.len() + data.len()) as u32;
    let [_, size_bytes @ ..] = size.to_be_bytes();
    let [extended, ms_bytes @ ..] = ms.to_be_bytes();
    out.push(kind as u8);
    out.extend(size_bytes);
    out.extend(ms_bytes);
    out.extend([extended, 0, 0, 0]);
    out.extend(front);
    out.extend(data);
    out.extend((size + TAG_HEADER as u32).to_be_bytes());
}

/// The composition time of a stamp, SI24.
pub(super) fn composition(stamp: Stamp) -> [u8; 3] {
    let [_, bytes @ ..] = stamp.offset.to_be_bytes();
    bytes
}

/// A value of `onMetaData`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Boolean(bool),
    Text(&'static str),
}

/// `onMetaData` with these values, E.5.
pub(super) fn metadata(values: &[(&'static str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    value(Value::Text("onMetaData"), &mut out);
    // An ECMA array: the field's own form, which every reader takes.
    out.push(8);
    out.extend((values.len() as u32).to_be_bytes());
    for (name, of) in values {
        text(name, &mut out);
        value(*of, &mut out);
    }
    out.extend([0, 0, 9]);
    out
}

fn value(value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => {
            out.push(0);
            out.extend(number.to_be_bytes());
        }
        Value::Boolean(boolean) => out.extend([1, u8::from(boolean)]),
        Value::Text(words) => {
            out.push(2);
            text(words, out);
        }
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_laid_out_as_in_the_specification() {
        let mut out = Vec::new();
        header(true, false, &mut out);
        tag(TagType::Audio, 0x0102_0304, &[0xAF, 1], &[7, 8, 9], &mut out);
        let expected = [
            b"FLV\x01\x04\0\0\0\x09\0\0\0\0".as_slice(),
            b"\x08\0\0\x05\x02\x03\x04\x01\0\0\0\xAF\x01\x07\x08\x09\0\0\0\x10",
        ];
        assert_eq!(out, expected.concat());
        assert_eq!(composition(Stamp { ms: 0, offset: -2 }), [0xFF, 0xFF, 0xFE]);
    }

    #[test]
    fn metadata_is_amf() {
        let values = [
            ("width", Value::Number(2.0)),
            ("stereo", Value::Boolean(true)),
            ("encoder", Value::Text("it")),
        ];
        let expected = b"\x02\0\x0aonMetaData\x08\0\0\0\x03\0\x05width\0\x40\0\0\0\0\0\0\0\
            \0\x06stereo\x01\x01\0\x07encoder\x02\0\x02it\0\0\x09";
        assert_eq!(metadata(&values), expected);
    }
}

//! Text as people's tools write it: UTF-8 with or without a byte order mark, and UTF-16, which Windows' editors and shells write.

/// Decodes the text of a manifest, scene or config, without its byte order mark.
///
/// UTF-16 needs no mark: JSON and TOML begin with an ASCII character, which has one zero byte there.
///
/// # Errors
/// Fails with what the text is in, where it breaks, and what to do.
pub fn decode(content: Vec<u8>) -> Result<String, String> {
    match *content.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err("UTF-32: expected UTF-8; save the file as UTF-8".into()),
        [0xff, 0xfe, ..] => utf16(&content[2..], u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(&content[2..], u16::from_be_bytes),
        [1..=255, 0, ..] => utf16(&content, u16::from_le_bytes),
        [0, 1..=255, ..] => utf16(&content, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => utf8(content[3..].to_vec()),
        _ => utf8(content),
    }
}

fn utf8(content: Vec<u8>) -> Result<String, String> {
    String::from_utf8(content).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let content = error.as_bytes();
        let line = content[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("byte 0x{:02X} in line {line} is not UTF-8; save the file as UTF-8", content[at])
    })
}

fn utf16(content: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = content.as_chunks::<2>();
    let decoded: Result<String, _> = char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect();
    match decoded {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("UTF-16 that is damaged: expected whole characters; save the file as UTF-8".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n \"identity\": \"Zo\u{eb} \u{1f9d1}\" }";

    fn bytes(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_encoding_that_editors_write_gives_the_same_text() {
        let marked = format!("\u{feff}{TEXT}");
        for content in [
            TEXT.into(),
            marked.clone().into_bytes(),
            bytes(&marked, u16::to_le_bytes),
            bytes(&marked, u16::to_be_bytes),
            bytes(TEXT, u16::to_le_bytes),
            bytes(TEXT, u16::to_be_bytes),
        ] {
            assert_eq!(decode(content.clone()).unwrap(), TEXT, "{content:?}");
        }
        for short in ["", "7"] {
            assert_eq!(decode(short.into()).unwrap(), short);
        }
    }

    #[test]
    fn other_encodings_are_refused_with_what_to_do() {
        let latin = b"{\n \"identity\": \"Zo\xeb\" }".to_vec();
        let utf32 = [0xff, 0xfe, 0, 0, b'{', 0, 0, 0].to_vec();
        let odd = bytes(TEXT, u16::to_le_bytes)[..9].to_vec();
        let lone = [0xff, 0xfe, 0x00, 0xd8].to_vec();
        for (content, part) in [(latin, "0xEB in line 2"), (utf32, "UTF-32"), (odd, "UTF-16"), (lone, "UTF-16")] {
            let error = decode(content).unwrap_err();
            assert!(error.contains(part) && error.contains("save the file as UTF-8"), "{error}");
        }
    }
}

//! Names the true kind of a file that has the name of another kind, for messages only.

/// The first bytes of files that lie where a PNG or a JSON was expected, and words for them. `image` knows pictures.
const KINDS: [(&[u8], &str); 7] = [
    (b"version https://git-lfs", "a Git LFS pointer (`git lfs pull` fetches the file)"),
    (b"\x00\x05\x16\x07", "macOS's companion of another file (`._...`)"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP image"),
    (b"PK\x03\x04", "an archive or a Krita document"),
    (b"{\\rtf", "rich text"),
    (b"<", "a web page or other markup"),
];

/// Returns words for what a content is, or `None` where it is of no kind that is known.
pub fn kind_of(content: &[u8]) -> Option<&'static str> {
    if content.is_empty() {
        return Some("an empty file (a sync tool's placeholder?)");
    }
    let known = KINDS.iter().find(|(start, _)| content.starts_with(start)).map(|(_, words)| *words);
    known.or_else(|| image::guess_format(content).ok().map(|format| format.to_mime_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (content, words) in [
            (&b""[..], "an empty file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS"),
            (b"\xff\xd8\xff\xe1", "image/jpeg"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"{\\rtf1\\ansi", "rich text"),
            (b"<!DOCTYPE html>", "a web page"),
        ] {
            assert!(kind_of(content).is_some_and(|found| found.contains(words)), "{words}: {:?}", kind_of(content));
        }
        assert_eq!(kind_of(b"no image"), None);
    }
}

//! Lists of objects directories as git writes them: `objects/info/alternates` and `GIT_ALTERNATE_OBJECT_DIRECTORIES`. An entry
//! in double quotes has C's escapes, so that it may hold the character between entries, a line break, or any byte.

use std::path::{Path, PathBuf};

use crate::names::path_of_bytes;

/// Between the entries of the variable.
pub const IN_VARIABLE: u8 = if cfg!(windows) { b';' } else { b':' };
/// Between the entries of the file.
pub const IN_FILE: u8 = b'\n';

/// One entry of a list whose entries have this byte between them.
pub fn entry(path: &Path, separator: u8) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes();
    // Git takes an entry that begins with `#` for a comment.
    let is_plain = |byte: &u8| *byte != separator && !byte.is_ascii_control();
    if !bytes.starts_with(b"\"") && !bytes.starts_with(b"#") && bytes.iter().all(is_plain) {
        return bytes.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            byte if byte.is_ascii_control() => quoted.extend(format!("\\{byte:03o}").bytes()),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

/// The content of the file that names one directory.
pub fn file_of(path: &Path) -> Vec<u8> {
    let mut content = entry(path, IN_FILE);
    content.push(IN_FILE);
    content
}

/// The directories that a file names.
pub fn in_file(content: &[u8]) -> Vec<PathBuf> {
    let lines = content.split(|byte| *byte == IN_FILE).filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    // Git takes one with bad quotes as it is.
    lines.map(|line| path_of_bytes(unquoted(line).unwrap_or_else(|| line.to_vec()))).collect()
}

fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter().copied();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            byte @ (b'"' | b'\\') => byte,
            high @ b'0'..=b'3' => {
                let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| byte - b'0');
                digit(high)? << 6 | digit(rest.next()?)? << 3 | digit(rest.next()?)?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_quoted_only_when_they_have_to_be() {
        let table = [
            ("/a/b c/é", "/a/b c/é", "/a/b c/é"),
            (r"/a\b", r"/a\b", r"/a\b"),
            ("/a:b", "\"/a:b\"", "/a:b"),
            ("/a\"b", "/a\"b", "/a\"b"),
            ("\"a", "\"\\\"a\"", "\"\\\"a\""),
            ("#a", "\"#a\"", "\"#a\""),
            ("/a\nb", "\"/a\\012b\"", "\"/a\\012b\""),
            ("/a:\\\"\n", "\"/a:\\\\\\\"\\012\"", "\"/a:\\\\\\\"\\012\""),
        ];
        for (path, in_variable, in_the_file) in table {
            let text = |separator| String::from_utf8(entry(Path::new(path), separator)).unwrap();
            assert_eq!((text(b':').as_str(), text(b'\n').as_str()), (in_variable, in_the_file), "{path:?}");
            assert_eq!(in_file(&file_of(Path::new(path))), [Path::new(path)], "{path:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_of_any_bytes_survives() {
        let all: Vec<u8> = (1..=255).collect();
        let path = path_of_bytes([b"/", all.as_slice()].concat());
        assert_eq!(in_file(&file_of(&path)), [path]);
    }

    #[test]
    fn other_lines_of_a_file() {
        let content = b"/a\n\n# a comment\n\"/b\\tc\\101\"\n\"/bad\\q\"\n/d";
        let expected = ["/a", "/b\tcA", "\"/bad\\q\"", "/d"].map(PathBuf::from);
        assert_eq!(in_file(content), expected);
    }
}

//! Git's messages without the names of files, refs and hosts in them: what a message means must not depend on how a
//! recording or a branch is called.

/// What comes before a name without quotes. It ends at the last `: ` of the line, after which the system's reason stands,
/// or with the line.
const BEFORE_NAMES: &[&str] = &[
    "unable to create file ",
    "unable to create symlink ",
    "unable to write file ",
    "just-written file ",
    "sha1 file of ",
    "repository database ",
    "remote ref ",
    "process path ",
    "packfile ",
];

/// What comes before the name of a host, which is one word. The first of them counts.
const BEFORE_HOSTS: &[&str] = &["connect to host ", "connect to ", "resolve host: ", "resolve hostname ", "closed by "];

/// A message of several lines in lower case, without names. Quotes stay where they were, with nothing between them.
pub fn without_names(text: &str) -> String {
    // Lists of files are indented.
    let lines = text.lines().filter(|line| !line.starts_with('\t'));
    lines.map(|line| of_line(&line.to_lowercase())).collect::<Vec<_>>().join("\n")
}

fn of_line(line: &str) -> String {
    let mut line = without_refs(&without_quoted(&without_quoted(line, '\''), '"'));
    for before in BEFORE_NAMES {
        if let Some(at) = line.find(before) {
            let start = at + before.len();
            let end = line[start..].rfind(": ").map_or(line.len(), |end| start + end);
            line.replace_range(start..end, "");
        }
    }
    let host = BEFORE_HOSTS.iter().find_map(|before| Some(line.find(before)? + before.len()));
    if let Some(start) = host {
        let end = line[start..].find([' ', ':']).map_or(line.len(), |end| start + end);
        line.replace_range(start..end, "");
    }
    // Any other path or URL is a word with a slash.
    line.split(' ').filter(|word| !word.contains(['/', '\\'])).collect::<Vec<_>>().join(" ")
}

/// Takes away what is between quotes. An apostrophe in a word is no quote.
fn without_quoted(line: &str, quote: char) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(start) = opening(rest, quote) {
        let inside = &rest[start + 1..];
        let Some(end) = closing(inside, quote) else { break };
        kept.push_str(&rest[..=start]);
        // Whether it is a lock decides.
        if inside[..end].ends_with(".lock") {
            kept.push_str(".lock");
        }
        kept.push(quote);
        rest = &inside[end + 1..];
    }
    kept + rest
}

fn opening(text: &str, quote: char) -> Option<usize> {
    let is_word = |before: &str| before.chars().next_back().is_some_and(char::is_alphanumeric);
    text.match_indices(quote).map(|(at, _)| at).find(|at| !is_word(&text[..*at]))
}

fn closing(text: &str, quote: char) -> Option<usize> {
    let ends = |after: &str| after.chars().next().is_none_or(|next| " :,.;)".contains(next));
    text.match_indices(quote).map(|(at, _)| at).find(|at| ends(&text[at + 1..]))
}

/// `! [rejected] main -> topic (fetch first)` without the two refs.
fn without_refs(line: &str) -> String {
    let parts = line.split_once("rejected]").and_then(|(before, rest)| Some((before, rest.split_once(" -> ")?.1)));
    match parts {
        Some((before, rest)) => {
            let reason = rest.find(" (").map_or("", |at| &rest[at..]);
            format!("{before}rejected]{reason}")
        }
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_words_stay() {
        let table = [
            ("fatal: repository 'https://x/a b/' not found", "fatal: repository '' not found"),
            (
                "fatal: Unable to create '/x/.git/shallow.lock': File exists.",
                "fatal: unable to create '.lock': file exists.",
            ),
            (
                "error: unable to create file a/ssl: b: Permission denied",
                "error: unable to create file : permission denied",
            ),
            ("fatal: couldn't find remote ref refs/tags/a'b", "fatal: couldn't find remote ref "),
            (
                "error: cannot unlink 'it's a certificate': Permission denied",
                "error: cannot unlink '': permission denied",
            ),
            ("error: open(\"a b\"): Permission denied", "error: open(\"\"): permission denied"),
            (" ! [rejected]        a -> b (fetch first)", " ! [rejected] (fetch first)"),
            (
                "ssh: connect to host ssl.x port 22: Connection refused",
                "ssh: connect to host  port 22: connection refused",
            ),
            ("overwritten by checkout:\n\tcertificate\nAborting", "overwritten by checkout:\naborting"),
            ("error: a/b/certificate.json: cannot add", "error: cannot add"),
            ("it's 'open", "it's 'open"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(without_names(text), expected, "{text}");
        }
    }
}

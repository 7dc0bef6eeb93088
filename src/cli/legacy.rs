//! Command lines as earlier scripts wrote them, turned into ours. Pure.

use std::ffi::OsString;

/// Turns `--command restore --assetsJsonPath P` into `restore --assets-json-path P`.
pub fn modernise(args: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = args.iter().position(|arg| arg == "--command").filter(|at| at + 1 < args.len()) else { return args };
    let mut modern = args;
    let command = modern.remove(at + 1);
    modern.remove(at);
    for arg in &mut modern {
        if arg == "--assetsJsonPath" {
            *arg = "--assets-json-path".into();
        }
    }
    modern.insert(1, command);
    modern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new() {
        let table = [
            (
                vec!["assets", "--command", "restore", "--assetsJsonPath", "a b"],
                vec!["assets", "restore", "--assets-json-path", "a b"],
            ),
            (
                vec!["assets", "--assetsJsonPath", "x", "--command", "push"],
                vec!["assets", "push", "--assets-json-path", "x"],
            ),
            (vec!["assets", "restore", "--json"], vec!["assets", "restore", "--json"]),
            (vec!["assets", "--command"], vec!["assets", "--command"]),
        ];
        for (old, new) in table {
            let words = |list: Vec<&str>| list.into_iter().map(OsString::from).collect::<Vec<_>>();
            assert_eq!(modernise(words(old)), words(new));
        }
    }
}

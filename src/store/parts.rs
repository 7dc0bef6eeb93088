//! A large download is fetched in parts, so that what has come can be worked with while the rest is on its way.

use crate::git::Filter;

/// Fewer wants than this are fetched in one part: a part costs some round trips.
const SMALLEST_PART: usize = 12;
/// How a large download is divided, in percent. The first part is small, so that there is soon something to write and
/// the lanes do not end their parts at the same time; the last ones are small, because nothing is fetched while they
/// are written.
const PARTS: &[usize] = &[10, 22, 22, 20, 16, 10];

/// What is asked of the remote in one call.
pub struct Part {
    /// The wants it is for, by their indexes, each with its refspecs or ids.
    pub wants: Vec<(usize, Vec<String>)>,
    pub filter: Filter,
    pub shallow: bool,
}

/// Divides a download.
pub fn divide(mut wants: Vec<(usize, Vec<String>)>, filter: Filter, shallow: bool) -> Vec<Part> {
    let all = wants.len();
    let mut parts = Vec::new();
    for percent in PARTS {
        let size = (all * percent / 100).max(SMALLEST_PART);
        let rest = wants.split_off(size.min(wants.len()));
        // What is left is not worth round trips of its own.
        let (part, left) = if rest.len() < SMALLEST_PART {
            (wants.into_iter().chain(rest).collect(), Vec::new())
        } else {
            (wants, rest)
        };
        wants = left;
        parts.push(Part { wants: part, filter, shallow });
        if wants.is_empty() {
            break;
        }
    }
    if let Some(last) = parts.last_mut() {
        last.wants.extend(wants);
    }
    parts.retain(|part| !part.wants.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_want_is_in_one_part_and_small_downloads_are_not_divided() {
        for count in 0..500 {
            let wants = (0..count).map(|index| (index, vec![index.to_string()])).collect();
            let parts = divide(wants, Filter::NoBlobs, true);
            let indexes: Vec<usize> = parts.iter().flat_map(|part| &part.wants).map(|(index, _)| *index).collect();
            assert_eq!(indexes, (0..count).collect::<Vec<_>>());
            assert!(
                parts
                    .iter()
                    .all(|part| !part.wants.is_empty() && (parts.len() == 1 || part.wants.len() >= SMALLEST_PART))
            );
            assert!(parts.len() <= PARTS.len());
            assert!(count >= 2 * SMALLEST_PART || parts.len() <= 1);
        }
    }
}

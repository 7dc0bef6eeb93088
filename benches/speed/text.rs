//! Makes text that compresses as recorded HTTP exchanges do; always the same.

use std::fmt::Write as _;

/// A source of words, bodies and recordings.
pub struct Text {
    pub random: fastrand::Rng,
    words: Vec<String>,
    bodies: Vec<String>,
}

impl Text {
    pub fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let word = |random: &mut fastrand::Rng| (0..random.usize(3..=10)).map(|_| random.lowercase()).collect();
        let words = (0..1500).map(|_| word(&mut random)).collect();
        let mut text = Self { random, words, bodies: Vec::new() };
        for _ in 0..3000 {
            let size = [200, 400, 800, 1500, 3000][text.random.usize(..5)];
            let body = text.body(size);
            text.bodies.push(body);
        }
        text
    }

    pub fn word(&mut self) -> String {
        self.words[self.random.usize(..self.words.len())].clone()
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| self.random.digit(16)).collect()
    }

    fn guid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|digits| self.hex(digits)).join("-")
    }

    /// A size with a long tail, as recordings have it (log-normal, capped).
    pub fn size(&mut self, mean: usize) -> usize {
        let normal: f64 = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        (((0.8 * normal).exp() * mean as f64 * 0.72) as usize).clamp(2000, 60_000)
    }

    pub fn body(&mut self, size: usize) -> String {
        let mut out = String::new();
        while out.len() < size {
            let word = self.word();
            let _ = match self.random.u8(..10) {
                0..6 => {
                    let (a, b) = (self.word(), self.word());
                    writeln!(out, r#"        "{word}": "{a} {b}","#)
                }
                6..8 => {
                    let (group, provider) = (self.hex(8), self.word());
                    let scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups";
                    writeln!(out, r#"        "{word}Id": "{scope}/rg-{group}/providers/Microsoft.{provider}","#)
                }
                8 => {
                    let [month, day, hour, minute] = [12, 28, 23, 59].map(|top| self.random.u8(1..=top));
                    let fraction = self.random.u32(..10_000_000);
                    let time = format!("2024-{month:02}-{day:02}T{hour:02}:{minute:02}:00.{fraction:07}Z");
                    writeln!(out, r#"        "{word}Time": "{time}","#)
                }
                _ => writeln!(out, r#"        "etag": "0x8{}","#, self.hex(15)),
            };
        }
        out
    }

    pub fn recording(&mut self, package: &str, size: usize) -> String {
        let mut out = String::from("{\n  \"Entries\": [\n");
        while out.len() < size {
            let (a, b, c, ids) = (self.word(), self.word(), self.word(), [(); 4].map(|()| self.guid()));
            let method = ["GET", "PUT", "POST", "GET", "DELETE"][self.random.usize(..5)];
            let status = [200, 200, 201, 202, 404][self.random.usize(..5)];
            let [length, left] = [999, 11_999].map(|top| self.random.u32(..=top));
            let [day, hour, minute] = [28, 23, 59].map(|top| self.random.u8(1..=top));
            let body = &self.bodies[self.random.usize(..self.bodies.len())];
            let separator = if out.len() > 20 { ",\n" } else { "" };
            let _ = write!(
                out,
                r#"{separator}    {{
      "RequestUri": "https://Sanitized.{a}.azure.com/{b}/{c}?api-version=2024-01-01",
      "RequestMethod": "{method}",
      "RequestHeaders": {{
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "Content-Length": "{length}",
        "Content-Type": "application/json",
        "User-Agent": "azsdk-python-{package}/1.0.0 Python/3.11.7 (Linux-6.5.0-x86_64-with-glibc2.36)",
        "x-ms-client-request-id": "{}"
      }},
      "RequestBody": null,
      "StatusCode": {status},
      "ResponseHeaders": {{
        "Cache-Control": "no-cache",
        "Content-Type": "application/json; charset=utf-8",
        "Date": "Mon, {day:02} Apr 2024 {hour:02}:{minute:02}:00 GMT",
        "Expires": "-1",
        "Pragma": "no-cache",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "Transfer-Encoding": "chunked",
        "X-Content-Type-Options": "nosniff",
        "x-ms-correlation-request-id": "{}",
        "x-ms-ratelimit-remaining-subscription-reads": "{left}",
        "x-ms-request-id": "{}"
      }},
      "ResponseBody": {{
{body}        "id": "{}"
      }}
    }}"#,
                ids[0], ids[1], ids[2], ids[3]
            );
        }
        let _ = write!(out, "\n  ],\n  \"Variables\": {{\"seed\": \"{}\"}}\n}}\n", self.hex(16));
        out
    }
}

//! One HTTP/1.1 connection: reads requests, answers them from the backend, a file, a rule or a fault.

use super::{Active, Fault, Gate, Request, Shared, basic_credentials, kill_group, spend};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Why a connection is not kept for another request.
#[derive(Debug)]
pub(super) enum End {
    /// In good order.
    Close,
    Reset,
    Stall,
    Io,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

pub(super) struct Connection<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    /// Bytes that were looked at in the socket and are still in it; they are taken out when more are needed.
    /// A socket that is closed with unread bytes sends a reset, for which the standard library has no other way.
    peeked: Vec<u8>,
    used: usize,
    /// Number of the current request in the log, and what is to go wrong with it.
    request: usize,
    fault: Arc<Mutex<Active>>,
}

impl BufRead for Connection<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.peeked.len() {
            self.take_peeked()?;
            self.peeked.resize(64 * 1024, 0);
            let length = self.stream.peek(&mut self.peeked).inspect_err(|_| self.peeked.clear())?;
            self.peeked.truncate(length);
            self.shared.log.lock().unwrap().up += length as u64;
        }
        Ok(&self.peeked[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Connection<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: TcpStream, shared: &'a Shared) -> Self {
        let fault = Arc::clone(&shared.fault);
        Self { shared, stream, peeked: Vec::new(), used: 0, request: 0, fault }
    }

    /// Answers requests until one side has had enough.
    pub(super) fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.serve_request() {
                break end;
            }
        };
        match end {
            End::Reset => return, // the unread bytes do it
            End::Stall => self.stall(),
            End::Close | End::Io => {}
        }
        let _ = self.take_peeked();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads the peeked bytes for good.
    fn take_peeked(&mut self) -> io::Result<()> {
        let result = self.stream.read_exact(&mut self.peeked);
        self.peeked.clear();
        self.used = 0;
        result
    }

    /// Waits until the fault is changed, the client gives up or the server ends.
    fn stall(&mut self) {
        let _ = self.take_peeked();
        let _ = self.stream.set_read_timeout(Some(Duration::from_millis(20)));
        let stalled =
            |fault: &Mutex<Active>| matches!(fault.lock().unwrap().fault, Fault::Hang | Fault::StallAfter { .. });
        while stalled(&self.fault) && !self.shared.stop.load(Ordering::SeqCst) {
            match self.stream.peek(&mut [0]) {
                Ok(0) => return,
                Ok(_) => thread::sleep(Duration::from_millis(20)),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }

    fn serve_request(&mut self) -> Result<(), End> {
        let request = self.read_head()?;
        self.log_request(&request);
        let hook = self.shared.hook.lock().unwrap().clone();
        self.fault = match hook.and_then(|hook| hook(&request)) {
            Some(fault) => Arc::new(Mutex::new(Active { fault, passed: 0 })),
            None => Arc::clone(&self.shared.fault),
        };
        let refusal = self.faulty_answer(&request)?.or_else(|| self.refusal(&request));
        // A client that asks first does not send the body after a refusal.
        let asks = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if let Some((status, headers)) = refusal {
            if !asks {
                self.read_body(&request)?;
            }
            self.answer(status, &headers, b"<html><body>refused, or somebody else's page</body></html>")?;
            return if asks { Err(End::Close) } else { Ok(()) };
        }
        if asks {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = self.read_body(&request)?;
        match request.path().strip_prefix("/static/") {
            Some(name) => self.answer_file(name)?,
            None => self.answer_git(&request, &body)?,
        }
        match request.header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => Err(End::Close),
            _ => Ok(()),
        }
    }

    fn read_head(&mut self) -> Result<Request, End> {
        let mut line = String::new();
        self.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(End::Close);
        };
        let mut request = Request { method: method.to_owned(), target: target.to_owned(), ..Request::default() };
        loop {
            let mut line = String::new();
            self.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let named =
            |service: &&str| request.query() == format!("service={service}") || request.path().ends_with(*service);
        request.service =
            ["git-upload-pack", "git-receive-pack"].iter().find(|name| named(name)).map(|&name| name.to_owned());
        Ok(request)
    }

    fn log_request(&mut self, request: &Request) {
        let mut log = self.shared.log.lock().unwrap();
        self.request = log.first + log.requests.len();
        log.requests.push(request.clone());
    }

    /// Changes the log entry of the current request, unless the log was reset meanwhile.
    fn note(&self, change: impl FnOnce(&mut Request)) {
        let mut log = self.shared.log.lock().unwrap();
        if let Some(request) = self.request.checked_sub(log.first).and_then(|at| log.requests.get_mut(at)) {
            change(request);
        }
    }

    fn read_body(&mut self, request: &Request) -> Result<Vec<u8>, End> {
        let mut body = Vec::new();
        if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let mut line = String::new();
                self.read_line(&mut line)?;
                let length = u64::from_str_radix(line.trim(), 16).map_err(|_| End::Close)?;
                let got = self.by_ref().take(length).read_to_end(&mut body)?;
                self.read_line(&mut line)?;
                match length {
                    0 => break,
                    length if got as u64 == length => {}
                    _ => return Err(End::Io),
                }
            }
        } else {
            let length = request.header("content-length").unwrap_or("0");
            let length: u64 = length.parse().map_err(|_| End::Close)?;
            if self.by_ref().take(length).read_to_end(&mut body)? as u64 != length {
                return Err(End::Io);
            }
        }
        self.note(|request| request.request_bytes = body.len() as u64);
        Ok(body)
    }

    /// The answer that the current fault puts in place of the right one.
    fn faulty_answer(&self, request: &Request) -> Result<Option<(u16, Vec<String>)>, End> {
        let mut active = self.fault.lock().unwrap();
        match &mut active.fault {
            Fault::Hang => return Err(End::Stall),
            Fault::Status { code, retry_after, times: times @ 1.. } => {
                spend(times);
                return Ok(Some((
                    *code,
                    retry_after.iter().map(|seconds| format!("Retry-After: {seconds}")).collect(),
                )));
            }
            Fault::CaptivePortal => return Ok(Some((200, Vec::new()))),
            Fault::RedirectTo(base) => {
                return Ok(Some((302, vec![format!("Location: {base}{}", request.target)])));
            }
            Fault::CutAfter { bytes: 0, times: 1.. } => {}
            _ => return Ok(None),
        }
        Err(active.allow(1).1.unwrap_or(End::Reset))
    }

    /// The answer to somebody who may not do this.
    fn refusal(&self, request: &Request) -> Option<(u16, Vec<String>)> {
        let access = self.shared.access.lock().unwrap();
        match if request.is_push() { &access.1 } else { &access.0 } {
            Gate::Open => None,
            Gate::Forbidden => Some((403, Vec::new())),
            Gate::Basic { user, password } => {
                let given = basic_credentials(request.header("authorization"));
                let fits = given
                    .is_some_and(|(name, word)| word == *password && user.as_ref().is_none_or(|user| *user == name));
                (!fits).then(|| (401, vec!["WWW-Authenticate: Basic realm=\"assets\"".to_owned()]))
            }
        }
    }

    /// Writes to the socket; what was written is counted before the client can have seen it.
    fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.shared.log.lock().unwrap().down += bytes.len() as u64;
        Ok(self.stream.write_all(bytes)?)
    }

    /// Writes a part of a body, or as much of it as the fault allows.
    fn send_body(&mut self, before: &str, bytes: &[u8], after: &str) -> Result<(), End> {
        let (allowed, end) = self.fault.lock().unwrap().allow(bytes.len() as u64);
        self.note(|request| request.response_bytes += allowed);
        let mut framed = before.as_bytes().to_vec();
        framed.extend_from_slice(&bytes[..allowed as usize]);
        if end.is_none() {
            framed.extend_from_slice(after.as_bytes());
        }
        self.send(&framed)?;
        end.map_or(Ok(()), Err)
    }

    fn head(&self, status: u16, headers: &[String]) -> String {
        self.note(|request| request.status = status);
        let reason = if status == 200 { "OK" } else { "Unwell" };
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        format!("HTTP/1.1 {status} {reason}\r\n{lines}")
    }

    fn answer(&mut self, status: u16, headers: &[String], body: &[u8]) -> Result<(), End> {
        let head = self.head(status, headers);
        self.send_body(&format!("{head}Content-Type: text/html\r\nContent-Length: {}\r\n\r\n", body.len()), body, "")
    }

    fn answer_file(&mut self, name: &str) -> Result<(), End> {
        let file = self.shared.root.join("static").join(name);
        match std::fs::read(file) {
            Ok(body) if !name.split('/').any(|part| part == "..") => self.answer(200, &[], &body),
            _ => self.answer(404, &[], b"no such file\n"),
        }
    }

    /// Runs the backend and passes its answer on while it is being made.
    fn answer_git(&mut self, request: &Request, body: &[u8]) -> Result<(), End> {
        let Some(mut child) = self.shared.spawn_backend(request, body.len()) else {
            return Err(End::Close);
        };
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::with_capacity(64 * 1024, output);
        let result = thread::scope(|scope| {
            scope.spawn(move || input.write_all(body));
            let result = self.pass_on(request, body, &mut output);
            match (&result, request.is_push()) {
                (Err(_), false) => kill_group(child.id()),
                _ => drop(io::copy(&mut output, &mut io::sink())), // lets a push come to its end
            }
            result
        });
        self.shared.reap(child);
        result
    }

    fn pass_on(&mut self, request: &Request, body: &[u8], output: &mut impl BufRead) -> Result<(), End> {
        let (mut status, mut headers) = (200, Vec::new());
        loop {
            let mut line = String::new();
            output.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("Status", value)) => status = value.get(..3).and_then(|code| code.parse().ok()).unwrap_or(500),
                Some(_) => headers.push(line.trim_end().to_owned()),
                None => break,
            }
        }
        // Git asks with an empty push of four bytes whether a large one would be let in; that is not yet the push.
        let pushes = request.is_push() && request.method == "POST" && body != b"0000";
        if pushes && self.fault.lock().unwrap().drops_push_answer() {
            io::copy(output, &mut io::sink())?;
            // Without a byte of an answer curl would silently send the push again.
            self.send(b"HTTP/1.1 200 OK\r\n")?;
            return Err(End::Reset);
        }
        let mut before = self.head(status, &headers) + "Transfer-Encoding: chunked\r\n\r\n";
        loop {
            let part = output.fill_buf()?;
            let length = part.len();
            if length == 0 {
                return self.send(format!("{before}0\r\n\r\n").as_bytes());
            }
            self.send_body(&format!("{before}{length:x}\r\n"), part, "\r\n")?;
            output.consume(length);
            before.clear();
        }
    }
}

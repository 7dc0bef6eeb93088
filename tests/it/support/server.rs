//! A git server on loopback: real `git http-backend` behind HTTP/1.1, with a log, access rules and faults.
//!
//! Plain threads, no other program than git. Dropping a [`GitServer`] ends its threads and its git processes.
//! For delays put a [`LatencyProxy`] in front: `LatencyProxy::start(server.port(), Latency::https(40, 200))`.
#![allow(dead_code, unused_imports)] // each user needs another part of it

#[path = "connection.rs"]
mod connection;
#[path = "latency.rs"]
mod latency;

pub use latency::{Latency, LatencyProxy, Listener, Sockets};

use connection::{Connection, End};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// For the `times` of a fault that never ends by itself.
pub const ALWAYS: u32 = u32::MAX;

/// What a server is started with; the rest can be changed while it runs.
pub struct Options {
    /// The git whose `http-backend` answers.
    pub git: PathBuf,
    /// Git configuration of the server's side, stronger than that of the repositories.
    pub config: Vec<(String, String)>,
    /// Who may read, and who may push.
    pub access: (Gate, Gate),
    /// Whether it only knows the first version of git's protocol.
    pub is_old: bool,
}

impl Default for Options {
    /// Git from `PATH`, everybody may read and push, and what GitHub allows: filters, and any object by its id.
    fn default() -> Self {
        let config = ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"];
        let config = config.map(|key| (key.to_owned(), "true".to_owned())).to_vec();
        Self { git: "git".into(), config, access: (Gate::Open, Gate::Open), is_old: false }
    }
}

/// Who may pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// Everybody.
    Open,
    /// Who sends this password, with any user name unless one is given; all others get a 401.
    Basic { user: Option<String>, password: String },
    /// Nobody: a 403.
    Forbidden,
}

impl Gate {
    /// Any user with this password or token.
    pub fn password(password: &str) -> Self {
        Self::Basic { user: None, password: password.to_owned() }
    }
}

/// What goes wrong. Every `times` counts down to nothing, after which the server is well again; see [`ALWAYS`].
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After this many bytes of response bodies, counted over all responses, the connection is reset; with 0 even
    /// before the headers. Then the count starts again.
    CutAfter { bytes: u64, times: u32 },
    /// The same, but the connection stays open and silent, until the fault is changed.
    StallAfter { bytes: u64 },
    /// Requests are read and never answered, until the fault is changed.
    Hang,
    /// This status, with `Retry-After` seconds if given, for the next `times` requests.
    Status { code: u16, retry_after: Option<u32>, times: u32 },
    /// 200 and a page of HTML.
    CaptivePortal,
    /// 302 to this base URL with the same path.
    RedirectTo(String),
    /// The next `times` pushes take place, but instead of the answer the connection is reset.
    DropPushAnswer { times: u32 },
}

/// One request as it was logged.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// `git-upload-pack` or `git-receive-pack`, from the query or the path.
    pub service: Option<String>,
    /// Names as sent, with the values.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body, without the chunk framing.
    pub request_bytes: u64,
    /// Bytes of the answer's body, without the chunk framing.
    pub response_bytes: u64,
    /// 0 as long as there is no answer.
    pub status: u16,
}

impl Request {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The host that the client meant.
    pub fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// Whether credentials came along.
    pub fn had_authorization(&self) -> bool {
        self.header("authorization").is_some()
    }

    /// Whether it belongs to a push, as opposed to a fetch.
    pub fn is_push(&self) -> bool {
        self.service.as_deref() == Some("git-receive-pack")
    }

    /// `METHOD target`, for comparing.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Sums since the start or the last [`GitServer::reset_log`]; bytes with headers and framing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub connections: u64,
    pub requests: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
}

type Hook = Box<dyn Fn(&Request) -> Option<Fault> + Send + Sync>;

/// A running server; all its settings can be changed between and during requests.
pub struct GitServer {
    listener: Listener,
    shared: Arc<Shared>,
}

impl GitServer {
    /// Serves the bare repositories below `root`, and the files of `root/static` at `/static/NAME`.
    pub fn start(root: &Path, options: Options) -> Self {
        let home = tempfile::tempdir().expect("home of the server");
        let found = Command::new(&options.git).arg("--exec-path").output().expect("run git --exec-path");
        let exec_path = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
        let mut config = vec![("safe.directory".to_owned(), "*".to_owned()), ("receive.autogc".into(), "false".into())];
        config.extend(options.config);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            backend: exec_path.join(format!("git-http-backend{}", std::env::consts::EXE_SUFFIX)),
            config,
            is_old: options.is_old,
            home,
            access: Mutex::new(options.access),
            fault: Arc::default(),
            hook: Mutex::default(),
            log: Mutex::default(),
            children: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream, _| Connection::new(stream, &serving).serve());
        Self { listener, shared }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// `http://127.0.0.1:PORT`; a repository's URL is this, `/` and its path below the root.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Changes who may read and who may push.
    pub fn set_access(&self, read: Gate, push: Gate) {
        *self.shared.access.lock().unwrap() = (read, push);
    }

    /// Breaks the server in one way, or with [`Fault::None`] mends it.
    pub fn set_fault(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Active { fault, passed: 0 };
    }

    /// Calls `hook` with every request before it is answered; a fault that it returns is for this request alone.
    pub fn on_request(&self, hook: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.hook.lock().unwrap() = Some(Arc::new(Box::new(hook)));
    }

    /// All requests since the last [`GitServer::reset_log`], in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().requests.clone()
    }

    /// Number of requests, connections and bytes.
    pub fn totals(&self) -> Totals {
        let log = self.shared.log.lock().unwrap();
        let connections = self.listener.accepted() - log.connections_before;
        Totals { connections, requests: log.requests.len() as u64, bytes_up: log.up, bytes_down: log.down }
    }

    /// Forgets the log and starts the sums again.
    pub fn reset_log(&self) {
        let mut log = self.shared.log.lock().unwrap();
        let first = log.first + log.requests.len();
        *log = Log { first, connections_before: self.listener.accepted(), ..Log::default() };
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for &group in self.shared.children.lock().unwrap().iter() {
            kill_group(group);
        }
        self.listener.stop();
    }
}

struct Shared {
    root: PathBuf,
    backend: PathBuf,
    config: Vec<(String, String)>,
    is_old: bool,
    home: tempfile::TempDir,
    access: Mutex<(Gate, Gate)>,
    fault: Arc<Mutex<Active>>,
    hook: Mutex<Option<Arc<Hook>>>,
    log: Mutex<Log>,
    children: Mutex<HashSet<u32>>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    /// Number of the first request in `requests`, counted from the start of the server.
    first: usize,
    connections_before: u64,
    up: u64,
    down: u64,
}

/// A fault and how many bytes of response bodies it has let through.
struct Active {
    fault: Fault,
    passed: u64,
}

impl Default for Active {
    fn default() -> Self {
        Self { fault: Fault::None, passed: 0 }
    }
}

impl Active {
    /// How many of the next `wanted` bytes of a response body may pass, and how the connection ends if not all.
    fn allow(&mut self, wanted: u64) -> (u64, Option<End>) {
        let (bytes, end) = match &mut self.fault {
            Fault::CutAfter { bytes, times: 1.. } => (*bytes, End::Reset),
            Fault::StallAfter { bytes } => (*bytes, End::Stall),
            _ => return (wanted, None),
        };
        let room = bytes.saturating_sub(self.passed);
        if wanted <= room {
            self.passed += wanted;
            return (wanted, None);
        }
        if let Fault::CutAfter { times, .. } = &mut self.fault {
            self.passed = 0;
            spend(times);
        }
        (room, Some(end))
    }

    fn drops_push_answer(&mut self) -> bool {
        let Fault::DropPushAnswer { times: times @ 1.. } = &mut self.fault else {
            return false;
        };
        spend(times);
        true
    }
}

fn spend(times: &mut u32) {
    if *times != ALWAYS {
        *times -= 1;
    }
}

impl Shared {
    fn spawn_backend(&self, request: &Request, length: usize) -> Option<Child> {
        let user = basic_credentials(request.header("authorization")).map_or("anonymous".to_owned(), |(user, _)| user);
        let mut command = Command::new(&self.backend);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (at, (key, value)) in self.config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), key).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command.env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("REMOTE_USER", user).env("REMOTE_ADDR", "127.0.0.1").env("REQUEST_METHOD", &request.method);
        command.env("PATH_INFO", percent_decoded(request.path())).env("QUERY_STRING", request.query());
        let headers = [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ];
        for (header, variable) in headers {
            let is_heard = header != "git-protocol" || !self.is_old;
            if let Some(value) = request.header(header).filter(|_| is_heard) {
                command.env(variable, value);
            }
        }
        if request.method == "POST" {
            command.env("CONTENT_LENGTH", length.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut children = self.children.lock().unwrap();
        if self.stop.load(Ordering::SeqCst) {
            return None;
        }
        let child = command.spawn().expect("start git http-backend");
        children.insert(child.id());
        Some(child)
    }

    fn reap(&self, mut child: Child) {
        self.children.lock().unwrap().remove(&child.id()); // before its number can be somebody else's
        let _ = child.wait();
    }
}

/// Ends a process that leads a group, and all of the group.
fn kill_group(leader: u32) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &leader.to_string()]).output();
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// User and password from the value of an `Authorization: Basic` header.
pub fn basic_credentials(header: Option<&str>) -> Option<(String, String)> {
    let (scheme, encoded) = header?.split_once(' ')?;
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for letter in encoded.trim_end_matches('=').bytes() {
        let value =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|&b| b == letter)?;
        (bits, held) = (bits << 6 | value as u32, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    let text = String::from_utf8(bytes).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

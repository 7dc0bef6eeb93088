//! A loopback listener whose threads all end with it, and a proxy that makes loopback as slow as a network.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The open sockets of a listener; shutting them down ends every thread that waits for one.
#[derive(Default)]
pub struct Sockets {
    open: Mutex<HashMap<u64, TcpStream>>,
    next: AtomicU64,
}

impl Sockets {
    /// Remembers `stream` until [`Sockets::forget`] is called with the answer.
    pub fn remember(&self, stream: &TcpStream) -> io::Result<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap().insert(id, stream.try_clone()?);
        Ok(id)
    }

    /// Closes our copy of the socket; the last copy decides how the connection ends.
    pub fn forget(&self, id: u64) {
        self.open.lock().unwrap().remove(&id);
    }

    fn shut_all(&self) {
        for stream in self.open.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Accepts connections on a free loopback port, one thread each; dropping it ends them all and waits for them.
pub struct Listener {
    port: u16,
    accepted: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sockets: Arc<Sockets>,
    thread: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

impl Listener {
    /// Calls `serve` for every connection, in a thread of its own.
    pub fn start(serve: impl Fn(TcpStream, &Sockets) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
        let port = listener.local_addr().expect("port of the listener").port();
        let (accepted, stop, sockets) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(Sockets::default()));
        let (count, stopped, open) = (Arc::clone(&accepted), Arc::clone(&stop), Arc::clone(&sockets));
        let serve = Arc::new(serve);
        let thread = thread::spawn(move || {
            let mut threads: Vec<JoinHandle<()>> = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                // Without this, small writes wait 40 ms for the peer's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                let Ok(id) = open.remember(&stream) else {
                    continue;
                };
                count.fetch_add(1, Ordering::Relaxed);
                let (serve, open) = (Arc::clone(&serve), Arc::clone(&open));
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread::spawn(move || {
                    serve(stream, &open);
                    open.forget(id);
                }));
            }
            threads
        });
        Self { port, accepted, stop, sockets, thread: Some(thread) }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were accepted, ever.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Accepts nothing more, shuts every open connection down and waits for their threads.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)); // wakes `incoming`
        let threads = thread.join().unwrap_or_default();
        self.sockets.shut_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A simulated network path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Round trip time; half of it passes in each direction.
    pub rtt: Duration,
    /// Line rate in each direction, which all connections share; 0 is without limit.
    pub bits_per_second: u64,
    /// Extra round trips of a new connection: 1 for TCP, 2 with TLS 1.3.
    pub connect_rtts: f64,
}

impl Latency {
    /// No delay and no limit.
    pub const NONE: Self = Self { rtt: Duration::ZERO, bits_per_second: 0, connect_rtts: 0.0 };

    /// A https server some way off: `rtt_ms` away, `mbit` per second, two extra round trips to connect.
    pub fn https(rtt_ms: u64, mbit: u64) -> Self {
        Self { rtt: Duration::from_millis(rtt_ms), bits_per_second: mbit * 1_000_000, connect_rtts: 2.0 }
    }
}

/// A loopback port that forwards to another one and delays what passes, many chunks in flight at once.
///
/// Bytes and half-closes pass unchanged. A reset of the upstream connection arrives as an early end.
pub struct LatencyProxy {
    listener: Listener,
    latency: Arc<Mutex<Latency>>,
}

impl LatencyProxy {
    /// Starts to forward connections to `127.0.0.1:upstream_port`.
    pub fn start(upstream_port: u16, latency: Latency) -> Self {
        let latency = Arc::new(Mutex::new(latency));
        let current = Arc::clone(&latency);
        let (up, down) = (Line::default(), Line::default());
        let listener = Listener::start(move |client, sockets| {
            let latency = *current.lock().unwrap();
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream_port)) else {
                return;
            };
            let _ = server.set_nodelay(true);
            let Ok(id) = sockets.remember(&server) else {
                return;
            };
            let ready = Instant::now() + latency.rtt.mul_f64(latency.connect_rtts);
            thread::scope(|scope| {
                scope.spawn(|| pump(&client, &server, latency, ready, &up));
                pump(&server, &client, latency, ready, &down);
            });
            sockets.forget(id);
        });
        Self { listener, latency }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Changes the path for connections made from now on.
    pub fn set_latency(&self, latency: Latency) {
        *self.latency.lock().unwrap() = latency;
    }
}

/// One direction of the path. Who has something to send waits until it is almost free, so that each connection gets its
/// turn.
#[derive(Default)]
struct Line(Mutex<Option<Instant>>);

impl Line {
    /// Waits for a turn; the answer is when the last byte is on the line.
    fn take(&self, time: Duration) -> Instant {
        const AHEAD: Duration = Duration::from_millis(5);
        loop {
            let mut free = self.0.lock().unwrap();
            let now = Instant::now();
            let from = free.map_or(now, |free| free.max(now));
            let wait = (from - now).saturating_sub(AHEAD);
            if wait.is_zero() {
                *free = Some(from + time);
                return from + time;
            }
            drop(free);
            thread::sleep(wait);
        }
    }
}

/// Copies `from` to `to` until the end, each chunk delayed by its time on the line and half a round trip.
///
/// Nothing passes before `ready`: until then the connection is still being set up.
fn pump(mut from: &TcpStream, mut to: &TcpStream, latency: Latency, ready: Instant, line: &Line) {
    let (sender, receiver): (SyncSender<(Instant, Vec<u8>)>, Receiver<_>) = sync_channel(1024);
    thread::scope(|scope| {
        scope.spawn(move || {
            for (due, chunk) in receiver {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&chunk).is_err() {
                    let _ = from.shutdown(Shutdown::Read); // ends the loop below
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            thread::sleep(ready.saturating_duration_since(Instant::now()));
            let sent = line.take(time_on_line(length, latency.bits_per_second));
            if sender.send((sent + latency.rtt / 2, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
    });
}

fn time_on_line(bytes: usize, bits_per_second: u64) -> Duration {
    match bits_per_second {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64),
    }
}

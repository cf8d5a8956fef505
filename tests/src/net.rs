//! Free loopback ports, and waiting by asking again until a deadline. Never sleeps a fixed time.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Below the range that systems give to outgoing connections, so that none of those takes a port between choice and use.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Locks of the ports that this process chose; they last as long as it does.
static CHOSEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A loopback port that nobody listens on, and that no other test chooses while this process lives: each is locked by a
/// file, since tests run in many processes side by side.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join(format!("bindery-test-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&folder).expect("make a folder for locks");
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes begin at different places, so that they seldom meet.
    let first = std::process::id().wrapping_mul(97).wrapping_add(u32::try_from(chosen.len()).unwrap_or_default());
    let count = u32::from(PORTS.end - PORTS.start);
    for step in 0..count {
        let offset = u16::try_from(first.wrapping_add(step) % count).unwrap_or_default();
        let port = PORTS.start + offset;
        let lock = File::create(folder.join(port.to_string())).expect("make a lock file");
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            chosen.push(lock);
            return port;
        }
    }
    panic!("no loopback port from {} to {} is free", PORTS.start, PORTS.end);
}

/// Waits until something accepts connections on the loopback port. False when `patience` ran out.
pub fn wait_for_port(port: u16, patience: Duration) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until(patience, || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

/// Asks every few milliseconds until the answer is true. False when `patience` ran out.
pub fn wait_until(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = now() + patience;
    loop {
        if ready() {
            return true;
        }
        if now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "waiting for another process is about real time")]
fn now() -> Instant {
    Instant::now()
}

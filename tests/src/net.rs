//! Free loopback ports, and waiting by asking again until a deadline. Never sleeps a fixed time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A loopback port that nobody listens on at this moment.
///
/// Somebody else may take it before its new owner does; fixtures try again with another one then.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
    listener.local_addr().expect("address of a bound socket").port()
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

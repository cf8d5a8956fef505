//! Starts a 389-DS with the test people and every plugin, and waits for the end of its input, to look around by hand.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

fn main() {
    let server = bindery_tests::Ds389::builder().memberof().content_sync().policy(3).start();
    println!("{} {} CA {}", server.url(), server.ldaps_url(), server.ca_pem().display());
    let _ = std::io::stdin().read_line(&mut String::new());
}

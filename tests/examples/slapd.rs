//! Starts a slapd with the test people and waits for the end of its input, to look around by hand.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

fn main() {
    let slapd = bindery_tests::Slapd::start();
    println!("{} {} {} CA {}", slapd.url(), slapd.ldaps_url(), slapd.ldapi_url(), slapd.ca_pem().display());
    let _ = std::io::stdin().read_line(&mut String::new());
}

//! The fuzz targets over their seeds, which hold what fuzzing found, and over damaged copies of them.
//!
//! `BINDERY_FUZZ_ROUNDS=1000000` damages each seed as often; coverage-guided fuzzing is `cargo +nightly fuzz run TARGET`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[allow(unreachable_pub, reason = "a library of its own elsewhere")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

const ROUNDS: u32 = 2000;

fn run(name: &str, target: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let rounds = std::env::var("BINDERY_FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut seeds = 0u64;
    for file in std::fs::read_dir(folder).expect("a folder of seeds") {
        let seed = std::fs::read(file.unwrap().path()).unwrap();
        target(&seed);
        seeds += 1;
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seeds);
        for _ in 0..rounds {
            let mut input = seed.clone();
            for _ in 0..=random.below(3) {
                damage(&mut input, &mut random);
            }
            let outcome = std::panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "{name}: {input:x?}");
        }
    }
    assert!(seeds > 0, "no seeds for {name}");
}

fn damage(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(5) {
        0 => input.truncate(at),
        1 => input.insert(at, random.octet()),
        2 => input.extend_from_within(at..),
        3 if at < input.len() => drop(input.remove(at)),
        _ if at < input.len() => input[at] = random.octet(),
        _ => {}
    }
}

/// The same numbers in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn octet(&mut self) -> u8 {
        // Those that mean something in BER and in text come more often.
        const LIKELY: &[u8] = b"\x00\x01\x30\x80\x81\x84\xff\\(),=+*#: \n";
        if self.below(2) == 0 { LIKELY[self.below(LIKELY.len())] } else { u8::try_from(self.below(256)).unwrap() }
    }
}

#[test]
fn decode() {
    run("decode", targets::decode);
}

#[test]
fn framing() {
    run("framing", targets::framing);
}

#[test]
fn dn() {
    run("dn", targets::dn);
}

#[test]
fn filter() {
    run("filter", targets::filter);
}

#[test]
fn ldif() {
    run("ldif", targets::ldif);
}

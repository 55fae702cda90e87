//! What the figures were measured on, and with which versions.

use std::{fs, thread};

/// Whose versions matter: the libraries compared, and what they compute with.
const CRATES: &[&str] = &[
    "convivio",
    "vodozemac",
    "wacore-libsignal",
    "openmls",
    "openmls_rust_crypto",
    "openmls_sqlite_storage",
    "mls-rs",
    "mls-rs-crypto-rustcrypto",
    "mls-rs-crypto-awslc",
    "mls-rs-provider-sqlite",
    "aws-lc-sys",
    "curve25519-dalek",
    "ed25519-dalek",
    "chacha20poly1305",
    "redb",
    "libsqlite3-sys",
];

/// One Markdown list item for each thing to know.
pub fn describe(threads: usize) -> Vec<String> {
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let flags = env!("BENCH_RUSTFLAGS");
    let flags = if flags.is_empty() { "no RUSTFLAGS".into() } else { format!("RUSTFLAGS `{flags}`") };
    vec![
        format!("CPU: {}, {cores} cores, {threads} thread(s) used by libraries that use several", cpu()),
        format!("Load when it began: {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()),
        format!("Compiler: {}, release with thin LTO and one codegen unit, {flags}", env!("BENCH_RUSTC")),
        format!("Versions: {}", versions(include_str!("../Cargo.lock"))),
    ]
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.into(), |(_, model)| model.trim().into())
}

/// The versions in a lock file, several of one crate if there are.
fn versions(lock: &str) -> String {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, version) in lock.lines().zip(lock.lines().skip(1)) {
        if let (Some(name), Some(version)) = (value(name, "name = "), value(version, "version = ")) {
            found.push((name, version));
        }
    }
    let of = |name: &&str| {
        let versions: Vec<_> = found.iter().filter(|(found, _)| found == name).map(|(_, v)| v.as_str()).collect();
        format!("{name} {}", versions.join(" and "))
    };
    CRATES.iter().map(of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_in_the_lock_file() {
        let versions = versions(include_str!("../Cargo.lock"));
        for (said, name) in versions.split(", ").zip(CRATES) {
            let version = said.strip_prefix(name).unwrap_or_default().trim_start();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{said}");
        }
    }
}

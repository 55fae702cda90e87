//! A file of hundreds of megabytes: encrypted as a stream, uploaded, downloaded with an interruption, verified.
//!
//! `cargo run --release --example attachment -- --size 256` (MiB).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use convivio::attachment::{Decryptor, FileKey, encrypt};
use convivio::content::{Content, Kind};
use convivio::limits::ATTACHMENT_CHUNK;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const MIB: u64 = 1 << 20;

/// A folder in the temporary directory, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("convivio-attachment-{:016x}", rand::random::<u64>()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A bar on the terminal, and what was reached in the end.
struct Progress {
    bar: ProgressBar,
    start: Instant,
    bytes: u64,
}

impl Progress {
    fn new(what: &'static str, bytes: u64, from: u64) -> Result<Self> {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg:9} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")?);
        bar.set_message(what);
        bar.set_position(from);
        Ok(Self { bar, start: Instant::now(), bytes: 0 })
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.bar.inc(bytes as u64);
    }

    /// Megabytes a second.
    fn done(self) -> u64 {
        self.bar.finish_and_clear();
        (self.bytes as f64 / 1e6 / self.start.elapsed().as_secs_f64().max(1e-9)) as u64
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}

/// Something to read that tells how far it is.
struct Watched<'p, R>(R, &'p mut Progress);

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.add(read);
        Ok(read)
    }
}

/// A video: any bytes, of this length.
fn make(path: &Path, len: u64) -> Result<()> {
    use rand::{Rng, SeedableRng};
    let (mut file, mut rng) = (File::create(path)?, rand::rngs::SmallRng::seed_from_u64(1));
    let (mut buffer, mut left) = (vec![0; 1 << 20], len);
    while left > 0 {
        rng.fill_bytes(&mut buffer);
        let part = usize::try_from(left.min(MIB))?;
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(())
}

fn digest(path: &Path) -> Result<Vec<u8>> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// One piece of the file on the server, as a request for a range of bytes gives it.
fn fetch(server: &mut File, range: core::ops::Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start)?];
    server.seek(SeekFrom::Start(range.start))?;
    server.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Goes on with a download where it broke off, up to chunk `until`. What is there was verified, so its length says how
/// far it is; a piece of a chunk at the end is fetched again.
fn download(key: &FileKey, server: &Path, to: &Path, until: u64) -> Result<(u64, u64)> {
    let mut server = File::open(server)?;
    let decryptor = Decryptor::new(key, &fetch(&mut server, key.index_at())?)?;
    let mut file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(to)?;
    let first = file.metadata()?.len() / ATTACHMENT_CHUNK as u64;
    let there = first * ATTACHMENT_CHUNK as u64;
    file.set_len(there)?;
    file.seek(SeekFrom::Start(there))?;
    let mut progress = Progress::new("download", key.size(), there)?;
    for number in first..until {
        let range = key.chunk_at(number).ok_or("no such chunk")?;
        let text = decryptor.chunk(number, &fetch(&mut server, range)?)?;
        file.write_all(&text)?;
        progress.add(text.len());
    }
    Ok((first, progress.done()))
}

/// The story, told to `out`, with a file of `size` bytes.
pub(crate) fn run(size: u64, out: &mut dyn Write) -> Result<()> {
    let folder = Folder::new()?;
    let (video, server, copy) = (folder.file("wedding.mp4"), folder.file("on the server"), folder.file("downloaded"));
    make(&video, size)?;

    // Maria's app encrypts while it uploads; it holds two chunks at a time.
    let mut progress = Progress::new("upload", size, 0)?;
    let reader = File::open(&video)?;
    let key = encrypt(&mut Watched(reader, &mut progress), &mut File::create(&server)?, &mut rand::rng())?;
    writeln!(out, "encrypted and uploaded {} MiB in {} chunks, {} MB/s", size / MIB, key.chunks(), progress.done())?;

    // What goes through the group is this, and nobody else can read or change the file.
    let part = key.to_part("https://files.example/wedding", "video/mp4", "wedding.mp4");
    let message = Content::attachment(part).to_bytes();
    writeln!(out, "the message has {} bytes", message.len())?;

    // Bob's app. The line breaks in the middle; half a chunk more is on the disk, which nobody verified.
    let received = Content::from_bytes(&message)?;
    let Kind::Attachment(part) = received.kind() else { return Err("not a file".into()) };
    let key = FileKey::try_from(part)?;
    let half = key.chunks() / 2;
    download(&key, &server, &copy, half)?;
    fs::OpenOptions::new().append(true).open(&copy)?.write_all(&vec![0xee; ATTACHMENT_CHUNK / 2])?;
    writeln!(out, "downloaded {half} chunks; then the line broke")?;
    let (first, speed) = download(&key, &server, &copy, key.chunks())?;
    writeln!(out, "went on at chunk {first}: {} as {} is whole, {speed} MB/s", part.media_type, part.file_name())?;
    if digest(&copy)? != digest(&video)? {
        return Err("the copy is another file".into());
    }
    writeln!(out, "the copy is the same, byte for byte")?;

    // A player jumps to the end: three requests, one chunk.
    let mut remote = File::open(&server)?;
    let decryptor = Decryptor::new(&key, &fetch(&mut remote, key.index_at())?)?;
    let last = key.chunks() - 1;
    let range = key.chunk_at(last).ok_or("no such chunk")?;
    let mut sealed = fetch(&mut remote, range)?;
    let end = decryptor.chunk(last, &sealed)?;
    writeln!(out, "the last {} bytes were read alone", end.len())?;

    // A server that changes one bit.
    sealed[20] ^= 1;
    match decryptor.chunk(last, &sealed) {
        Ok(_) => Err("a changed chunk was taken for good".into()),
        Err(error) => Ok(writeln!(out, "one bit changed on the server: refused ({error})")?),
    }
}

/// Mebibytes, from the command line; by default 256, or 8 in a build for debugging.
fn size() -> Result<u64> {
    let mut size = if cfg!(debug_assertions) { 8 } else { 256 };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("size") => size = args.value()?.to_str().ok_or("--size takes a number")?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(size)
}

fn main() -> Result<()> {
    run(size()? * MIB, &mut io::stdout())
}

//! Where an item of CBOR ends, whatever it holds, and whether it is well-formed (RFC 8949, section 5.3.1 and appendix C).

/// Why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It goes on where the bytes end.
    CutOff,
    /// No bytes that follow make it one.
    IllFormed,
}

/// What is to come within an item that holds others.
#[derive(Clone, Copy)]
enum Open {
    /// So many items.
    Items(u64),
    /// Items up to a break.
    List,
    /// Pairs up to a break, and whether one is half read.
    Pairs { half: bool },
    /// Strings of this major type and a stated length up to a break.
    Chunks(u8),
}

/// The first byte of an item with what follows it: major type, the number that the head holds or none, and its bytes.
struct Head {
    major: u8,
    info: u8,
    value: Option<u64>,
    len: usize,
}

/// How many bytes the first item takes. Takes memory in the length of `bytes`, and no depth of the stack.
pub(super) fn len(bytes: &[u8]) -> Result<usize, Flaw> {
    let (mut at, mut open) = (0_usize, vec![Open::Items(1)]);
    while let Some(within) = open.last_mut() {
        if matches!(within, Open::Items(0)) {
            open.pop();
            continue;
        }
        let head = head(bytes.get(at..).unwrap_or_default())?;
        at = at.saturating_add(head.len);
        if (head.major, head.info) == (7, 31) {
            match within {
                Open::Items(_) | Open::Pairs { half: true } => return Err(Flaw::IllFormed),
                Open::List | Open::Pairs { half: false } | Open::Chunks(_) => drop(open.pop()),
            }
            continue;
        }
        match within {
            Open::Items(left) => *left = left.saturating_sub(1),
            Open::List => {}
            Open::Pairs { half } => *half = !*half,
            Open::Chunks(major) if *major == head.major && head.value.is_some() => {}
            Open::Chunks(_) => return Err(Flaw::IllFormed),
        }
        match (head.major, head.value) {
            (2 | 3, Some(len)) => {
                let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len));
                at = end.filter(|end| *end <= bytes.len()).ok_or(Flaw::CutOff)?;
            }
            (2 | 3, None) => open.push(Open::Chunks(head.major)),
            (4, Some(count)) => open.push(Open::Items(count)),
            (4, None) => open.push(Open::List),
            // More than can be counted are more than there are.
            (5, Some(count)) => open.push(Open::Items(count.saturating_mul(2))),
            (5, None) => open.push(Open::Pairs { half: false }),
            (6, _) => open.push(Open::Items(1)),
            _ => {}
        }
    }
    Ok(at)
}

fn head(bytes: &[u8]) -> Result<Head, Flaw> {
    let (first, rest) = bytes.split_first().ok_or(Flaw::CutOff)?;
    let (major, info) = (first >> 5, first & 0x1f);
    let width: usize = match info {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        // Without a length, or a break: for strings, arrays, maps and what ends them.
        31 if matches!(major, 2..=5 | 7) => return Ok(Head { major, info, value: None, len: 1 }),
        _ => return Err(Flaw::IllFormed),
    };
    let number = rest.get(..width).ok_or(Flaw::CutOff)?;
    let value = if width == 0 { info.into() } else { number.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)) };
    // Simple values below 32 have no second form.
    if (major, info) == (7, 24) && value < 32 {
        return Err(Flaw::IllFormed);
    }
    Ok(Head { major, info, value: Some(value), len: width.saturating_add(1) })
}

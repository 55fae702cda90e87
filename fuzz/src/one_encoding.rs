//! Structures changed as structures, and written in the one encoding or in another (`docs/protocol.md`, section 2.3): a
//! decoder takes only the one, and what it takes it writes back the same.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};

use super::cbor::{Edit, Item, edit, parse};
use super::{Seeds, control_plane, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    which: u8,
    edits: Vec<Edit>,
    /// The head of this node takes one size or more than it needs.
    longer: Option<(u16, u8)>,
}

pub fn run(data: &[u8]) {
    let Ok(Input { which, edits, longer }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let structures = structures();
    let tree = edit(structures[usize::from(which) % structures.len()].clone(), &edits[..edits.len().min(8)]);
    let honest = tree.encode();
    let taken = control_plane::decode(&honest);
    let Some((node, by)) = longer else { return };
    let other = tree.encode_with(usize::from(node) % tree.nodes(), 1 + by % 4);
    if other == honest {
        return;
    }
    let also_taken = control_plane::decode(&other);
    // A byte string that means nothing to its decoder (ciphertext, a public part) may hold what looks like a structure.
    assert!(also_taken == 0 || depth(&tree, usize::from(node) % tree.nodes()) > 0, "two encodings of one structure");
    assert!(also_taken <= taken, "the longer encoding is taken by more decoders than the one");
}

/// How many byte strings the node is inside of.
fn depth(tree: &Item, at: usize) -> usize {
    let (mut left, inner, deeper) = match tree {
        _ if at == 0 => return 0,
        Item::Array(items) => (at - 1, items.as_slice(), 0),
        Item::Wrapped(inner) => (at - 1, std::slice::from_ref(inner.as_ref()), 1),
        _ => return 0,
    };
    for item in inner {
        if left < item.nodes() {
            return deeper + depth(item, left);
        }
        left -= item.nodes();
    }
    0
}

fn structures() -> &'static [Item] {
    static STRUCTURES: OnceLock<Vec<Item>> = OnceLock::new();
    STRUCTURES.get_or_init(|| {
        control_plane::seeds()
            .iter()
            .filter_map(|(_, bytes)| {
                let tree = parse(bytes)?;
                assert_eq!(tree.encode(), *bytes, "two opinions on the one encoding");
                matches!(tree, Item::Array(_)).then_some(tree)
            })
            .collect()
    })
}

pub fn seeds() -> Seeds {
    noise(&[12, 40, 120])
}

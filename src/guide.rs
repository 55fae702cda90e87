//! One page for each task. The pages are `docs/guide/` of the repository, and their programs are tests.

#[doc = include_str!("../docs/guide/attachments.md")]
pub mod attachments {}
#[doc = include_str!("../docs/guide/calls.md")]
pub mod calls {}
#[doc = include_str!("../docs/guide/content.md")]
pub mod content {}
#[doc = include_str!("../docs/guide/devices.md")]
pub mod devices {}
#[doc = include_str!("../docs/guide/governance.md")]
pub mod governance {}
#[doc = include_str!("../docs/guide/group_info.md")]
pub mod group_info {}
#[doc = include_str!("../docs/guide/invite_links.md")]
pub mod invite_links {}
#[doc = include_str!("../docs/guide/rejoin.md")]
pub mod rejoin {}
#[doc = include_str!("../docs/guide/reports.md")]
pub mod reports {}
#[doc = include_str!("../docs/guide/verification.md")]
pub mod verification {}

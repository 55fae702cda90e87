//! Many chains of trust, verified in one batch of signatures.

use std::collections::BTreeSet;

use super::device::UnverifiedDeviceIdentity;
use super::statement::{Check, CheckId};
use crate::crypto::sign::verify_batch;
use crate::error::Result;

/// The signatures still to be checked, each of them once.
#[derive(Default)]
pub(super) struct Chains<'a> {
    checks: Vec<Check<'a>>,
    seen: BTreeSet<CheckId<'a>>,
}

impl<'a> Chains<'a> {
    /// Adds a device's links, except those that `known`, verified before, shares with it: same label, key, bytes and
    /// signature.
    pub(super) fn device(&mut self, device: &'a UnverifiedDeviceIdentity, known: Option<&UnverifiedDeviceIdentity>) {
        let known = known.map(UnverifiedDeviceIdentity::checks);
        for check in device.checks() {
            if !known.as_ref().is_some_and(|known| known.contains(&check)) {
                self.signature(check);
            }
        }
    }

    pub(super) fn signature(&mut self, check: Check<'a>) {
        if self.seen.insert(check.id()) {
            self.checks.push(check);
        }
    }

    /// `Unauthentic` if any signature does not verify.
    pub(super) fn verify(self) -> Result<()> {
        let batch: Vec<_> = self.checks.iter().map(Check::signed).collect();
        verify_batch(&batch)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::*;
    use crate::{DeviceId, ErrorKind, GroupId, LeafIndex, SealSecret, SigningKey, Timestamp, Validity};

    const NOW: Timestamp = Timestamp(1_000);
    const ALWAYS: Validity = Validity { not_before: Timestamp(0), not_after: Timestamp(2_000) };

    struct World {
        rng: StdRng,
        app: AppKey,
        trust: TrustedApps,
        user: UserUri,
        device_key: SigningKey,
    }

    fn world() -> World {
        let mut rng = StdRng::seed_from_u64(7);
        let domain: AppDomain = "a.example".parse().unwrap();
        let root = AppRoot::generate(domain.clone(), &mut rng);
        let key = SigningKey::generate(&mut rng);
        let certificate = root.certify(key.verify_key(), ALWAYS);
        let mut trust = TrustedApps::new();
        trust.insert(domain.clone(), root.public().clone()).unwrap();
        let user = UserUri::new(&domain, "ada").unwrap();
        let device_key = SigningKey::generate(&mut rng);
        World { app: AppKey::new(key, certificate).unwrap(), trust, user, device_key, rng }
    }

    impl World {
        fn identity(&mut self, key: &IdentityKey) -> UnverifiedDeviceIdentity {
            let credential = self.app.vouch(&self.user, key.public(), ALWAYS).unwrap();
            UnverifiedDeviceIdentity::new(credential, self.certificate(key))
        }

        fn certificate(&self, key: &IdentityKey) -> DeviceCertificate {
            let device = DeviceId::from_bytes([1; 16]);
            key.certify_device(&self.user, device, self.device_key.verify_key(), 1, NOW).unwrap()
        }

        fn leaf(&mut self, identity: UnverifiedDeviceIdentity) -> UnverifiedLeaf {
            let source = Source::Commit {
                group: GroupId::from_bytes([2; 16]),
                leaf: LeafIndex(0),
                parent: [3; 32],
                proposals: [4; 32],
            };
            let body = LeafBody {
                signature_key: SigningKey::generate(&mut self.rng).verify_key().clone(),
                seal_key: SealSecret::generate(&mut self.rng).public().clone(),
                capabilities: Capabilities::default(),
                validity: ALWAYS,
                source,
            };
            let leaf = sign_leaf(&identity.assume_verified(), &self.device_key, body).unwrap();
            UnverifiedLeaf::from_bytes(leaf.encoded()).unwrap()
        }
    }

    fn kind<T: core::fmt::Debug>(result: crate::Result<T>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn an_app_is_not_believed_outside_its_domain() {
        let mut world = world();
        world.user = "mimi://b.example/u/ada".parse().unwrap();
        let identity = IdentityKey::generate(&mut world.rng);
        assert_eq!(kind(world.app.vouch(&world.user, identity.public(), ALWAYS)), ErrorKind::NotAllowed);

        // An app that signs it nevertheless, and is trusted under either name.
        let rogue = SigningKey::generate(&mut world.rng);
        let root = AppRoot::from_seed("a.example".parse().unwrap(), &[5; 32]);
        world.trust.insert("a.example".parse().unwrap(), root.public().clone()).unwrap();
        world.trust.insert("b.example".parse().unwrap(), root.public().clone()).unwrap();
        let certificate = root.certify(rogue.verify_key(), ALWAYS);
        let credential = Credential::sign(&rogue, certificate, (&world.user, identity.public(), ALWAYS));
        let device = UnverifiedDeviceIdentity::new(credential, world.certificate(&identity));
        assert_eq!(kind(device.clone().verify(&world.trust, NOW)), ErrorKind::NotAllowed);
        assert_eq!(kind(world.leaf(device).verify(&world.trust, None)), ErrorKind::NotAllowed);
    }

    #[test]
    fn a_certificate_is_for_one_user() {
        let mut world = world();
        let identity = IdentityKey::generate(&mut world.rng);
        let ada = world.identity(&identity);
        world.user = "mimi://a.example/u/bob".parse().unwrap();
        let bob = world.identity(&identity);
        let mixed = UnverifiedDeviceIdentity::new(ada.credential().clone(), bob.certificate().clone());
        assert_eq!(kind(mixed.verify(&world.trust, NOW)), ErrorKind::Unauthentic);
    }

    #[test]
    fn known_links_are_skipped_only_under_the_same_key() {
        let mut world = world();
        let (old, new) = (IdentityKey::generate(&mut world.rng), IdentityKey::generate(&mut world.rng));
        let identity = world.identity(&old);
        let known = world.leaf(identity.clone()).verify(&world.trust, None).unwrap();

        // Its certificate, which was verified under the old identity key, beside a genuine credential for a new one.
        let other = world.identity(&new);
        let mixed = UnverifiedDeviceIdentity::new(other.credential().clone(), identity.certificate().clone());
        let leaf = world.leaf(mixed);
        assert_eq!(kind(verify_all(vec![(leaf, Some(&known))], &world.trust, None)), ErrorKind::Unauthentic);

        // A forged certificate does not pass because a genuine one of the same device is known.
        let forged = UnverifiedDeviceIdentity::new(identity.credential().clone(), other.certificate().clone());
        let leaf = world.leaf(forged);
        assert_eq!(kind(verify_all(vec![(leaf, Some(&known))], &world.trust, None)), ErrorKind::Unauthentic);

        // The same device again: only the leaf itself is new.
        let again = world.leaf(identity.clone());
        let mut chains = super::Chains::default();
        chains.device(&again.claims().identity, Some(&identity));
        assert!(chains.checks.is_empty());
        assert!(verify_all(vec![(again, Some(&known))], &world.trust, Some(NOW)).is_ok());
    }

    #[test]
    fn shared_links_are_verified_once() {
        let mut world = world();
        let identity = IdentityKey::generate(&mut world.rng);
        let ada = world.identity(&identity);
        world.user = "mimi://a.example/u/bob".parse().unwrap();
        let bob = world.identity(&identity);
        let mut chains = super::Chains::default();
        chains.device(&ada, None);
        assert_eq!(chains.checks.len(), 3);
        chains.device(&bob, None);
        assert_eq!(chains.checks.len(), 5);
        chains.device(&ada, None);
        assert_eq!(chains.checks.len(), 5);
        chains.verify().unwrap();
    }
}

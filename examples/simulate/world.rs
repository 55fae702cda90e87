//! Apps, users, devices and a hub; what goes out and comes in, under the eyes of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use convivio::client::{Change, DeviceKeys, Event, EventKind, Status};
use convivio::group::{CommitHeader, RejoinRequest};
use convivio::identity::{AppDomain, IdentityKey, UserUri};
use convivio::log::{LogEntry, Post, PostBody, PostReply};
use convivio::ratchet::{EpochContext, Frame};
use convivio::testing::{App, FaultyStore};
use convivio::{Client, Epoch, GroupId, Secret, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::device::{Clock, Device, Ran, Simulated};
use super::history::{DeviceNo, Logged, Purpose};
use super::ledger::{Ledger, Shown};
use super::network::{Late, Network, Weather, chance};
use super::outcome::{Broken, Outcome, broken, ensure};
use super::report::Counts;
use super::trace::Trace;

pub(crate) const START: Timestamp = Timestamp(1_800_000_000);
const YEAR: u64 = 365 * 24 * 60 * 60;

/// Users: name, app, devices.
const PEOPLE: [(&str, usize, u64); 8] = [
    ("ana", 0, 2),
    ("ben", 0, 1),
    ("cem", 1, 2),
    ("dia", 1, 1),
    ("eli", 2, 3),
    ("fay", 2, 1),
    ("gil", 0, 2),
    ("hoa", 1, 1),
];

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) rng: StdRng,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) weather: Weather,
    pub(crate) apps: Vec<App>,
    pub(crate) devices: Vec<Device>,
    pub(crate) ledger: Ledger,
    /// What each queued change is.
    pub(crate) intents: BTreeMap<(GroupId, DeviceNo, u64), Change>,
    /// Requests to be readmitted that a device's user has been asked about.
    pub(crate) requests: BTreeMap<(GroupId, DeviceNo), Vec<RejoinRequest>>,
    /// Groups in which the hub has lied, or something was made up.
    pub(crate) tainted: BTreeSet<GroupId>,
    /// The last commit entry of each group's log.
    pub(crate) last_commit: BTreeMap<GroupId, u64>,
    /// How long each group's log was when all was last quiet.
    pub(crate) quiet_at: BTreeMap<GroupId, u64>,
    /// Groups given up, since nobody could let a member in again.
    pub(crate) abandoned: BTreeSet<GroupId>,
    pub(crate) counts: Counts,
    pub(crate) step: u64,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Outcome<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Clock::starting(START);
        let validity = Validity::starting(Timestamp(START.0 - 24 * 60 * 60), YEAR);
        let domains = ["photos.example", "courier.example", "lumen.example"];
        let apps = domains.iter().map(|domain| App::new_in(domain, validity, &mut rng)).collect::<Result<Vec<_>, _>>();
        let apps = apps.map_err(failed)?;
        let mut devices = Vec::new();
        for (name, app, count) in PEOPLE {
            let identity = IdentityKey::generate(&mut rng);
            for serial in 1..=count {
                let keys = apps[app].enrol_device(name, &identity, serial, &mut rng).map_err(failed)?;
                let (user, id) = (apps[app].user(name).map_err(failed)?, devices.len());
                devices.push(device(
                    (format!("{name}.{serial}"), user, apps[app].domain().clone()),
                    keys,
                    &clock,
                    &mut rng,
                )?);
                debug_assert_eq!(id + 1, devices.len());
            }
        }
        let mut ledger = Ledger::default();
        ledger.users = devices.iter().map(|device| device.user.clone()).collect();
        ledger.ids = devices.iter().map(|device| (device.user.clone(), device.id)).collect();
        let network = Network::new(Weather::default(), devices.len());
        let weather = weather(seed, &mut rng);
        Ok(Self {
            clock,
            rng,
            trace: Trace::new(trace),
            network,
            weather,
            apps,
            devices,
            ledger,
            intents: BTreeMap::new(),
            requests: BTreeMap::new(),
            tainted: BTreeSet::new(),
            last_commit: BTreeMap::new(),
            quiet_at: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            counts: Counts::default(),
            step: 0,
        })
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.step, what);
    }

    pub(crate) fn status(&mut self, d: DeviceNo, group: GroupId) -> Option<Status> {
        self.devices[d].client.group(&group).ok().map(|view| view.status())
    }

    pub(crate) fn groups(&mut self, d: DeviceNo) -> Outcome<Vec<GroupId>> {
        self.devices[d].client.groups().map_err(failed)
    }

    pub(crate) fn is_cut(&self, d: DeviceNo) -> bool {
        self.network.cut[d] > self.step
    }

    /// Posts, then reads. Whether anything moved.
    pub(crate) fn turn(&mut self, d: DeviceNo) -> Outcome<bool> {
        let posted = self.post(d)?;
        Ok(self.read(d, usize::MAX)? | posted)
    }

    /// Drains the outbox. Whether the hub has appended anything.
    pub(crate) fn post(&mut self, d: DeviceNo) -> Outcome<bool> {
        let mut moved = false;
        for post in self.outbox(d)? {
            let weather = self.network.weather;
            if self.is_cut(d) || chance(&mut self.rng, weather.lose_post) {
                self.counts.lost += 1;
                // What comes later must not overtake it.
                break;
            }
            if chance(&mut self.rng, weather.late_post) {
                let lands = self.step + self.rng.random_range(1..40);
                self.counts.delayed += 1;
                self.network.late.push(Late { lands, from: d, post });
                continue;
            }
            moved |= self.land(d, &post)?;
        }
        Ok(moved)
    }

    /// What a device has to post, written down before anything can happen to it.
    pub(crate) fn outbox(&mut self, d: DeviceNo) -> Outcome<Vec<Post>> {
        let posts = self.devices[d].must(|client| client.outbox(usize::MAX))?;
        for post in &posts {
            self.leaves(d, post).map_err(|Broken(what)| Broken(format!("{}: {what}", self.devices[d].name)))?;
        }
        self.observe(d, &BTreeMap::new())?;
        Ok(posts)
    }

    /// A post leaves a client.
    fn leaves(&mut self, d: DeviceNo, post: &Post) -> Outcome {
        self.trace.bytes(&post.to_bytes());
        let device = &self.devices[d];
        let Some(place) = self.ledger.places.get(&(post.group, d)) else {
            return broken("posts to a group it is not in");
        };
        let (leaf, epoch) = (place.leaf, place.epoch);
        match &post.body {
            PostBody::Create { .. } => {}
            PostBody::Request(request) => {
                self.ledger.seed_used(*request.header().commitment(), request.to_bytes())?;
            }
            PostBody::Message(bytes) => {
                let frame = Frame::parse(bytes).map_err(failed)?;
                let mut key = device.header_key(post.group)?;
                let low = Epoch(frame.epoch_low().into());
                let context = EpochContext::new(post.group, low, [0; 32], Secret::from_bytes(&mut key.clone()));
                let (own, generation) = frame.unmask(&context);
                ensure(own == leaf, || format!("seals as leaf {own} and is {leaf}"))?;
                self.ledger.key_used((key, own.0, generation.0), bytes)?;
                key.fill(0);
                let message = device.carried(post.group, bytes)?;
                self.ledger.history(post.group)?.sealed(bytes, d, epoch, message);
            }
            PostBody::Commit { commit, welcome } => {
                self.ledger.seed_used(*commit.header().commitment(), commit.to_bytes())?;
                let mut joiners = Vec::new();
                if let Some(welcome) = welcome {
                    self.ledger.seed_used(*welcome.header().commitment(), welcome.to_bytes())?;
                    for stanza in welcome.stanzas() {
                        let package = self.ledger.packages.iter().find(|(id, _)| id.as_bytes() == stanza.recipient());
                        let Some((id, who)) = package else { return broken("welcomes a package that nobody made") };
                        joiners.push((*id, *who));
                    }
                }
                let row = device.pending(post.group)?;
                let change = self.intents.get(&(post.group, d, row));
                let header = CommitHeader::from_envelope_header(commit.header().bytes()).map_err(failed)?;
                let purpose = Purpose { by: d, base: epoch, change, joiners };
                let users = &self.ledger.users;
                let Some(history) = self.ledger.histories.get_mut(&post.group) else { return broken("no such group") };
                history.made(post.id(), &header, &purpose, users)?;
            }
        }
        Ok(())
    }

    /// A post arrives at the hub. Whether it is appended.
    pub(crate) fn land(&mut self, d: DeviceNo, post: &Post) -> Outcome<bool> {
        let domain = self.devices[d].domain.clone();
        let (reply, seq) = self.append(&domain, post)?;
        let name = self.devices[d].name.clone();
        self.note(format_args!("{name} posts {} to {}: {reply:?}{}", kind(&post.body), short(post.group), at(seq)));
        self.counts.refused += u64::from(reply == PostReply::Refused);
        if chance(&mut self.rng, self.network.weather.lose_reply) {
            self.counts.lost += 1;
            return Ok(seq.is_some());
        }
        match self.devices[d].run(|client| client.posted(post, reply))? {
            // The device has forgotten the group, or has crashed: it never hears.
            Ran::Done(()) | Ran::Refused(_) | Ran::Crashed => {}
        }
        self.observe(d, &BTreeMap::new())?;
        Ok(seq.is_some())
    }

    /// The hub takes a post, from a client or from anyone. Its answer, and where it is in the log.
    pub(crate) fn append(&mut self, from: &AppDomain, post: &Post) -> Outcome<(PostReply, Option<u64>)> {
        let (reply, seq) = self.network.post(from, post, self.clock.now());
        let Some(seq) = seq else { return Ok((reply, None)) };
        let users = &self.ledger.users;
        let Some(history) = self.ledger.histories.get_mut(&post.group) else {
            return broken("a log that nobody opened");
        };
        let entry = match &post.body {
            PostBody::Message(bytes) => history.frame_of.get(bytes).map(|no| Logged::Message(*no)),
            PostBody::Commit { .. } => history.commit_of.get(&post.id()).map(|no| Logged::Commit(*no)),
            PostBody::Create { .. } => None,
            PostBody::Request(_) => Some(Logged::Request),
        };
        let entry = entry.unwrap_or(Logged::MadeUp);
        let void = history.void_commits.len();
        history.append(entry, users);
        ensure(history.log.len() as u64 == seq, || "the log and the ledger part".into())?;
        let is_void = history.void_commits.len() > void;
        match entry {
            Logged::Commit(no) if is_void => {
                self.counts.void_commits += 1;
                // Who was taken out cannot read that it was, and may go on for itself.
                let out = !history.members().any(|member| member == history.commits[no].by);
                let expected = out || self.tainted.contains(&post.group);
                ensure(expected, || format!("an honest commit at {seq} is void"))?;
                if let PostBody::Commit { welcome: Some(_), .. } = post.body {
                    // It lets someone into a group that nobody else is in.
                    self.tainted.insert(post.group);
                }
            }
            Logged::MadeUp => drop(self.tainted.insert(post.group)),
            _ => {}
        }
        if let PostBody::Commit { .. } = post.body {
            self.counts.commits += 1;
            self.last_commit.insert(post.group, seq);
        }
        Ok((reply, Some(seq)))
    }

    /// Posts that were under way arrive.
    pub(crate) fn land_late(&mut self, all: bool) -> Outcome {
        let step = self.step;
        let due = |late: &Late| all || late.lands <= step;
        let (landing, still) = std::mem::take(&mut self.network.late).into_iter().partition(due);
        self.network.late = still;
        for Late { from, post, .. } in landing {
            self.land(from, &post)?;
        }
        Ok(())
    }

    /// Fetches and reads at most `max` entries. Whether anything moved.
    pub(crate) fn read(&mut self, d: DeviceNo, max: usize) -> Outcome<bool> {
        if self.is_cut(d) {
            return Ok(false);
        }
        let wanted = self.devices[d].client.subscriptions().map_err(failed)?;
        let packages = self.devices[d].client.package_ids().map_err(failed)?;
        let mut entries = self.network.fetch(&wanted, &packages);
        entries.retain(|entry| !self.abandoned.contains(&entry.group));
        let mut entries = self.network.carry(entries, &mut self.rng);
        entries.truncate(max);
        let lies = self.lie(d, &mut entries)?;
        for batch in entries.chunks(self.devices[d].batch) {
            self.receive(d, batch, &lies)?;
        }
        let now = self.devices[d].client.subscriptions().map_err(failed)?;
        Ok(now != wanted)
    }

    /// Hands entries to a client, and looks what it makes of them.
    pub(crate) fn receive(&mut self, d: DeviceNo, entries: &[LogEntry], lies: &Lies) -> Outcome {
        self.devices[d].must(|client| client.receive(entries).map(drop))?;
        self.observe(d, lies)
    }

    /// Compares what a device tells and holds with what the ledger says.
    pub(crate) fn observe(&mut self, d: DeviceNo, lies: &Lies) -> Outcome {
        self.compare(d, lies).map_err(|Broken(what)| Broken(format!("{}: {what}", self.devices[d].name)))
    }

    fn compare(&mut self, d: DeviceNo, lies: &Lies) -> Outcome {
        let events = self.devices[d].look()?;
        for event in &events {
            self.trace.bytes(&event.to_bytes());
            if let EventKind::Invitation { .. } | EventKind::Joined { .. } | EventKind::Rejoined { .. } = event.what {
                self.ledger.entered(event.group, d, event.seq)?;
            }
        }
        let none = BTreeMap::new();
        let groups = self.groups(d)?;
        for group in &groups {
            let next = self.devices[d].client.group(group).map_err(failed)?.next_entry();
            self.ledger.read_to(*group, d, next, lies.get(group).unwrap_or(&none))?;
        }
        for event in &events {
            self.ledger.told(event.group, d, event)?;
            self.hear(d, event)?;
        }
        for group in groups {
            self.ledger.nothing_due(group, d)?;
            let Some(epoch) = self.ledger.places.get(&(group, d)).map(|place| place.epoch) else { continue };
            let view = self.devices[d].client.group(&group).map_err(failed)?;
            if let Some(history) = self.ledger.histories.get_mut(&group) {
                history.compare(epoch, &view, &self.ledger.ids)?;
            }
        }
        Ok(())
    }

    /// What a device tells beside messages: whether there is reason to.
    fn hear(&mut self, d: DeviceNo, event: &Event) -> Outcome {
        let group = event.group;
        let tainted = self.tainted.contains(&group);
        let lied_to = self.ledger.places.get(&(group, d)).is_some_and(|place| place.lied_to);
        let name = &self.devices[d].name;
        let reason = match &event.what {
            EventKind::Message { .. } | EventKind::Sent { .. } => return Ok(()),
            EventKind::RolledBack => false,
            EventKind::CloneSuspected => lied_to,
            EventKind::ForkSuspected | EventKind::Excluded | EventKind::Resumed => tainted,
            EventKind::Removed => tainted || self.is_out(group, d),
            EventKind::MessageDropped { id, .. } => {
                self.counts.dropped += 1;
                let said = self.ledger.history(group)?.said.get_mut(id);
                said.map(|said| said.dropped = true).is_some()
            }
            EventKind::RejoinRequested { request, .. } => {
                self.requests.entry((group, d)).or_default().push(RejoinRequest::clone(request));
                true
            }
            EventKind::Rejoined { .. } => {
                self.counts.rejoins += 1;
                true
            }
            EventKind::IntentDropped { .. } => {
                self.counts.dropped += 1;
                true
            }
            _ => true,
        };
        ensure(reason, || format!("tells {:?} without a reason", event.what))?;
        let line = format!("{name} is told: {}", brief(&event.what));
        self.note(format_args!("{line}"));
        Ok(())
    }

    /// Whether a device that was in has been taken out, by the log.
    pub(crate) fn is_out(&self, group: GroupId, d: DeviceNo) -> bool {
        let (history, place) = (self.ledger.histories.get(&group), self.ledger.places.get(&(group, d)));
        history
            .zip(place)
            .is_some_and(|(history, place)| history.shared(history.now()).leaves.get(&place.leaf) != Some(&d))
    }

    /// A group is forgotten; what is left of it is checked first.
    pub(crate) fn forget(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        self.devices[d].acknowledge()?;
        loop {
            match self.devices[d].run(|client| client.forget(&group))? {
                Ran::Done(()) => break,
                Ran::Refused(_) => break,
                Ran::Crashed if !self.groups(d)?.contains(&group) => break,
                Ran::Crashed => {}
            }
        }
        self.ledger.places.remove(&(group, d));
        *self.ledger.lives.entry((group, d)).or_default() += 1;
        self.requests.remove(&(group, d));
        self.intents.retain(|(of, device, _), _| (*of, *device) != (group, d));
        let name = self.devices[d].name.clone();
        self.note(format_args!("{name} forgets {}", short(group)));
        Ok(())
    }
}

/// How entries of each group were shown, where that is not as they are.
pub(crate) type Lies = BTreeMap<GroupId, BTreeMap<u64, Shown>>;

fn device(
    (name, user, domain): (String, UserUri, AppDomain),
    keys: DeviceKeys,
    clock: &Clock,
    rng: &mut StdRng,
) -> Outcome<Device> {
    // Minutes off, and now and then more than an hour behind.
    let skew = if rng.random_bool(0.08) { -7_000 } else { rng.random_range(-900..=900) };
    let (seed, store) = (rng.random(), FaultyStore::new());
    let environment = Simulated { clock: clock.clone(), skew, rng: StdRng::seed_from_u64(seed) };
    let features: Vec<u32> = (0..rng.random_range(0..3)).collect();
    let batch = [1, 3, 50, usize::MAX][rng.random_range(0..4)];
    let client = Client::create_in(store.clone(), keys.with_features(&features), environment);
    let mut client = client.map_err(failed)?;
    let id = client.identity().map_err(failed)?.device();
    Ok(Device {
        name,
        user,
        domain,
        id,
        client,
        store,
        clock: clock.clone(),
        skew,
        batch,
        seed,
        crashes: 0,
        inbox: BTreeMap::new(),
        last_event: convivio::client::EventId(0),
    })
}

/// Each history has a hub of its own kind: one that never lies, one where strangers post, one that does it all.
fn weather(seed: u64, rng: &mut StdRng) -> Weather {
    let bad = rng.random_range(0.2..1.0);
    let fair = Weather {
        lose_post: 0.15 * bad,
        lose_reply: 0.15 * bad,
        late_post: 0.1 * bad,
        lose_entry: 0.08 * bad,
        repeat: 0.15 * bad,
        reorder: 0.3 * bad,
        cut_short: 0.3 * bad,
        ..Weather::default()
    };
    match seed % 4 {
        0 => fair,
        1 => Weather { made_up: 0.015, ..fair },
        2 => Weather { lie: 0.06, ..fair },
        _ => Weather { made_up: 0.01, lie: 0.06, ..fair },
    }
}

fn failed(error: convivio::Error) -> Broken {
    Broken(format!("{}: {error}", error.kind()))
}

pub(crate) fn short(group: GroupId) -> String {
    group.to_string().chars().take(4).collect()
}

fn at(seq: Option<u64>) -> String {
    seq.map_or_else(String::new, |seq| format!(" as entry {seq}"))
}

fn kind(body: &PostBody) -> &'static str {
    match body {
        PostBody::Create { .. } => "the opening",
        PostBody::Message(_) => "a message",
        PostBody::Commit { welcome: None, .. } => "a commit",
        PostBody::Commit { .. } => "a commit and its welcome",
        PostBody::Request(_) => "a request",
    }
}

fn brief(what: &EventKind) -> String {
    match what {
        EventKind::RejoinRequested { user, .. } => format!("RejoinRequested by {user}"),
        EventKind::Changed { by, effects, .. } => {
            format!("Changed by {by}: {}", effects.iter().map(effect).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn effect(effect: &convivio::group::Effect) -> String {
    use convivio::group::Effect;
    match effect {
        Effect::Policy(_) => "Policy".into(),
        other => format!("{other:?}"),
    }
}

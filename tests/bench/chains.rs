//! Whole chains in turn: from the POST of a webhook to its event at a consumer.
//!
//! A chain is a receiver and a worker of one side, RabbitMQ, Redis, and a consumer. All sides use the same
//! RabbitMQ and Redis; builds of hookswitch have a vhost and a database of their own. Only one chain runs at
//! a time. Each webhook must be accepted and give one event, or the measurement fails.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
    time::{Duration, Instant},
};

use clap::ValueEnum as _;
use serde::Serialize;

use super::{
    chain::{Chain, Trip},
    chart::{self, Target},
    commit,
    compare::{self, Comparison, Figure},
    meter::{cpu_of, memory_mib},
    pairs,
    report::{Machine, Output, Spread, Tail, say},
    turn::{
        ACCEPTED_P50, ACCEPTED_P99, BROKER, Cpu, P50, P99, PARTS, PEAK, RECEIVER, REDIS, THROUGHPUT, TOTAL,
        Turn, WORKER, stack,
    },
    webhook,
    world::{Process, QUEUE_OUT, Side, World},
};

/// The commit before the work on the broker's share of the cost, for which a target is set.
const EARLIER: &str = "860ecfe";
/// Percent of the slowest chain's throughput that is posted to measure latency.
const PERCENT: f64 = 25.0;
/// Time for acks and marks that follow the last event.
const REST: Duration = Duration::from_millis(300);
/// Distance between the first numbers of the webhooks of two turns.
const NUMBERS: u64 = 1 << 32;

#[derive(clap::Args)]
pub struct Options {
    /// Number of rounds; in each, every chain has one turn
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Webhooks posted in a turn to measure throughput and CPU
    #[arg(long, default_value_t = 30_000)]
    count: u64,
    /// Connections over which they are posted
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Duration of the measurement of latency in a turn, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Webhooks per second while latency is measured; 25 % of the slowest chain's throughput if not given
    #[arg(long)]
    rate: Option<f64>,
    /// Chains to compare with: yardstick, lean, node, untraced, or commits of hookswitch
    #[arg(long, value_delimiter = ',', default_values = ["lean", "node", EARLIER])]
    beside: Vec<Beside>,
    /// Run RabbitMQ as a cluster of three nodes, on each of which all queues have a member
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    output: Output,
}

/// What hookswitch is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beside {
    Side(Side),
    /// An earlier state of hookswitch, by its short hash.
    Commit(String),
}

impl FromStr for Beside {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = Side::from_str(text, true).ok().map(Self::Side);
        let found = side.or_else(|| commit::resolve(text).map(Self::Commit));
        found.ok_or_else(|| "it is neither a yardstick nor a commit".to_owned())
    }
}

/// The name of its files and of its rows.
impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Side(side) => f.write_str(pairs::name(*side)),
            Self::Commit(hash) => f.write_str(hash),
        }
    }
}

impl Beside {
    fn description(&self) -> String {
        match self {
            Self::Side(side) => pairs::description(*side),
            Self::Commit(hash) => format!("hookswitch at commit {hash}"),
        }
    }

    /// Returns true if it is hookswitch as it was before.
    fn is_earlier(&self) -> bool {
        matches!(self, Self::Commit(_))
    }
}

/// One of the chains, in the order of the command line; ours is the first.
#[derive(Clone)]
struct Contender {
    who: Beside,
    /// Its number among the builds; the yardsticks use the vhost of ours.
    build: usize,
}

impl Contender {
    fn start(&self, world: &World, role: &str) -> Process {
        match &self.who {
            Beside::Side(side) => world.start_side(*side, role),
            Beside::Commit(_) => world.start_build(self.build, role, None),
        }
    }

    fn queue_out(&self) -> &'static str {
        match &self.who {
            Beside::Side(side) => side.queue_out(),
            Beside::Commit(_) => QUEUE_OUT,
        }
    }
}

/// A figure of a turn, and the target of hookswitch's ratio to another chain.
type Judged = (Figure<Turn>, fn(&Beside) -> Option<Target>);

/// Figures of the chart.
const CHARTED: [Judged; 4] = [
    (THROUGHPUT, |beside| match beside {
        Beside::Side(Side::Lean) => Some(Target::AtLeast(1.0)),
        Beside::Side(Side::Node) => Some(Target::AtLeast(2.0)),
        Beside::Side(Side::Ours | Side::Yardstick | Side::Untraced) | Beside::Commit(_) => None,
    }),
    (TOTAL, |beside| match beside {
        Beside::Side(Side::Node) => Some(Target::AtMost(0.45)),
        Beside::Side(Side::Untraced) => Some(Target::AtMost(1.01)),
        Beside::Side(Side::Ours | Side::Yardstick | Side::Lean) => None,
        Beside::Commit(hash) => (hash == EARLIER).then_some(Target::AtMost(0.55)),
    }),
    (P50, |beside| beside.is_earlier().then_some(Target::AtMost(1.0))),
    (P99, |beside| beside.is_earlier().then_some(Target::AtMost(1.0))),
];

const FURTHER: [Figure<Turn>; 7] = [RECEIVER, WORKER, BROKER, REDIS, ACCEPTED_P50, ACCEPTED_P99, PEAK];

/// The comparison with one chain.
#[derive(Serialize)]
struct Compared {
    beside: String,
    description: String,
    charted: Vec<Comparison>,
    further: Vec<Comparison>,
    /// Median ratio of the total CPU in the rounds in which ours had its turn before the other, and after it.
    #[serde(rename = "total_cpu_ours_first_second")]
    by_order: [Option<f64>; 2],
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    count: u64,
    connections: usize,
    /// Webhooks per second while latency was measured.
    low_rate: f64,
    seconds: u64,
    compared: Vec<Compared>,
    turns: Vec<Turn>,
}

pub async fn run(options: &Options) {
    // Asked and built first, so that what is missing is reported at once and not after minutes.
    let descriptions: Vec<String> = options.beside.iter().map(Beside::description).collect();
    let commits = options.beside.iter().filter_map(|beside| match beside {
        Beside::Side(_) => None,
        Beside::Commit(hash) => Some(commit::build(hash)),
    });
    let mut world =
        World::with(&webhook::signed_source(), &commits.collect::<Vec<_>>(), options.cluster).await;
    let traced = options.beside.contains(&Beside::Side(Side::Untraced));
    let collector = if traced { Some(pairs::Collector::start(&mut world).await) } else { None };
    let machine = Machine::of(&world).await;
    let (low_rate, turns) = measure(options, &world).await;
    collector.iter().for_each(pairs::Collector::assert_used);
    let compared = options.beside.iter().zip(descriptions);
    let compared = compared.map(|(beside, description)| compare(beside, description, &turns)).collect();
    let Options { pairs: rounds, count, connections, seconds, .. } = *options;
    let results = Results { machine, rounds, count, connections, low_rate, seconds, compared, turns };
    let name = file(&options.beside, options.cluster);
    options.output.finish(&name, &results, &table(&results), &ratios(&results));
    options.output.write(&format!("{name}-cost.svg"), &costs(&results));
}

fn contenders(beside: &[Beside]) -> Vec<Contender> {
    let mut builds = 0;
    let mut contenders = vec![Contender { who: Beside::Side(Side::Ours), build: 0 }];
    contenders.extend(beside.iter().cloned().map(|who| {
        builds += usize::from(who.is_earlier());
        Contender { build: if who.is_earlier() { builds } else { 0 }, who }
    }));
    contenders
}

/// Lets all chains run once to warm up, which gives the low rate, and then in turn.
async fn measure(options: &Options, world: &World) -> (f64, Vec<Turn>) {
    let contenders = contenders(&options.beside);
    let total = contenders.len() * options.pairs;
    let mut stage = Stage { world, options, first: NUMBERS };
    let mut slowest = f64::MAX;
    for contender in &contenders {
        let rate = stage.warm_up(contender).await;
        say(&format!("warming up: {} {rate:.0}/s", contender.who));
        slowest = slowest.min(rate);
    }
    let low_rate = options.rate.unwrap_or(slowest * PERCENT / 100.0);
    let mut turns = Vec::new();
    for round in 1..=options.pairs {
        for (place, contender) in (1..).zip(compare::in_turn(round, &contenders)) {
            turns.push(stage.turn(&contender, low_rate, (round, place)).await);
            say(&format!("turn {} of {total}: {}", turns.len(), line(&turns[turns.len() - 1])));
        }
    }
    (low_rate, turns)
}

struct Stage<'a> {
    world: &'a World,
    options: &'a Options,
    /// First number of the next turn's webhooks. A number that was used before would be a duplicate.
    first: u64,
}

/// A chain that runs.
struct Running {
    chain: Chain,
    receiver: Process,
    worker: Process,
}

/// The webhooks posted as fast as they are answered.
struct Saturated {
    rate: f64,
    cpu: Cpu,
    webhooks_per_message: Option<f64>,
}

impl Stage<'_> {
    /// Starts a chain, and posts to it until it is warm.
    async fn start(&mut self, contender: &Contender) -> Running {
        self.settle().await;
        let receiver = contender.start(self.world, "receiver");
        let worker = contender.start(self.world, "worker");
        let amqp = self.world.url(contender.build);
        let chain =
            Chain::start(&receiver.address, &amqp, contender.queue_out()).await.signed_from(self.first);
        self.first += NUMBERS;
        chain.is_up(webhook::SOURCE).await;
        let running = Running { chain, receiver, worker };
        self.saturate(&running, self.options.count / 10).await;
        running
    }

    /// Returns the throughput of a chain.
    async fn warm_up(&mut self, contender: &Contender) -> f64 {
        let running = self.start(contender).await;
        self.saturate(&running, self.options.count / 3).await.rate
    }

    async fn turn(&mut self, contender: &Contender, low_rate: f64, (round, place): (usize, usize)) -> Turn {
        let running = self.start(contender).await;
        let Saturated { rate, cpu, webhooks_per_message } = self.saturate(&running, self.options.count).await;
        self.settle().await;
        let lasting = Duration::from_secs(self.options.seconds);
        let sources = [webhook::SOURCE.to_owned()];
        let trips = verified(&running.chain, running.chain.open_loop(&sources, low_rate, lasting)).await;
        let peak = [&running.receiver, &running.worker].map(|process| memory_mib(process.pid(), "VmHWM"));
        Turn {
            round,
            place,
            chain: contender.who.to_string(),
            rate,
            cpu_us: cpu,
            webhooks_per_message,
            peak_mib: peak[0].max(peak[1]),
            accepted_ms: Tail::of(trips.iter().filter_map(Trip::accepted_after)),
            event_ms: Tail::of(trips.iter().filter_map(Trip::arrived_after)),
        }
    }

    /// Posts webhooks as fast as they are answered, and waits for all events.
    async fn saturate(&self, running: &Running, count: u64) -> Saturated {
        let [receiver, worker] = [&running.receiver, &running.worker].map(|process| [process.pid()]);
        let (broker, redis, own) =
            (self.world.rabbitmq.pids(), [self.world.redis.pid()], [std::process::id()]);
        let groups = [&receiver, &worker, &broker[..], &redis, &own];
        let messages = running.receiver.raw_messages().await;
        let (before, began) = (cpu_of(groups), Instant::now());
        let posting = running.chain.closed_loop(webhook::SOURCE, self.options.connections, count);
        let trips = verified(&running.chain, posting).await;
        let ended = trips.iter().filter_map(|trip| trip.arrived).max().unwrap();
        tokio::time::sleep(REST).await;
        let after = cpu_of(groups);
        let messages = running.receiver.raw_messages().await.zip(messages).map(|(now, then)| now - then);
        let [receiver, worker, broker, redis, generator] =
            std::array::from_fn(|n| (after[n] - before[n]) * 1e6 / count as f64);
        let cpu = Cpu { receiver, worker, broker, redis, generator };
        Saturated {
            rate: count as f64 / (ended - began).as_secs_f64(),
            cpu,
            webhooks_per_message: messages.map(|messages| count as f64 / messages),
        }
    }

    /// Waits until RabbitMQ and Redis have done what the load before has left to them.
    async fn settle(&self) {
        const LOOK: Duration = Duration::from_millis(500);
        const BUSY: f64 = 0.1;
        const PATIENCE: usize = 20;
        let mut pids = self.world.rabbitmq.pids();
        // A node that has nothing to do takes a little of it.
        let busy = BUSY * pids.len() as f64 * LOOK.as_secs_f64();
        pids.push(self.world.redis.pid());
        for _ in 0..PATIENCE {
            let [before] = cpu_of([&pids]);
            tokio::time::sleep(LOOK).await;
            let [after] = cpu_of([&pids]);
            if after - before < busy {
                return;
            }
        }
    }
}

/// Waits for webhooks, each of which must be accepted and give one event.
async fn verified(chain: &Chain, posting: impl Future<Output = Vec<Trip>>) -> Vec<Trip> {
    let before = chain.events();
    let trips = posting.await;
    let events = chain.events() - before;
    let of = trips.len();
    let accepted = trips.iter().filter(|trip| trip.accepted_after().is_some()).count();
    let arrived = trips.iter().filter(|trip| trip.arrived.is_some()).count();
    let complete = accepted == of && arrived == of && events == of as u64;
    assert!(
        complete,
        "of {of} webhooks {accepted} were accepted; {arrived} of them arrived in {events} events"
    );
    trips
}

fn line(turn: &Turn) -> String {
    let Turn { chain, rate, cpu_us, peak_mib, accepted_ms, event_ms, .. } = turn;
    let Cpu { receiver, worker, broker, redis, generator } = cpu_us;
    format!(
        "{chain:<14} {rate:>6.0}/s, CPU µs: total {:.1} = receiver {receiver:.1}, worker {worker:.1}, broker \
         {broker:.1}, Redis {redis:.1} (generator {generator:.1}); ms until 200: {:.2}, p99 {:.2}, until the \
         event: {:.2}, p99 {:.2}; peak {peak_mib:.1} MiB",
        cpu_us.total(),
        accepted_ms.p50,
        accepted_ms.p99,
        event_ms.p50,
        event_ms.p99
    )
}

fn compare(beside: &Beside, description: String, turns: &[Turn]) -> Compared {
    let of = |who: &Beside| {
        let who = who.to_string();
        turns.iter().filter(move |turn| turn.chain == who)
    };
    let pairs: Vec<_> = of(beside).zip(of(&Beside::Side(Side::Ours))).collect();
    let in_order = |ours_first: bool| {
        let those = pairs.iter().filter(|(theirs, ours)| (ours.place < theirs.place) == ours_first);
        let those: Vec<_> = those.copied().collect();
        (!those.is_empty()).then(|| TOTAL.compare(&those, None).ratio.median)
    };
    Compared {
        beside: beside.to_string(),
        description,
        charted: CHARTED.iter().map(|(figure, target)| figure.compare(&pairs, target(beside))).collect(),
        further: FURTHER.iter().map(|figure| figure.compare(&pairs, None)).collect(),
        by_order: [in_order(true), in_order(false)],
    }
}

/// Returns the name of the results: `chain`, unless it was not measured as by default.
fn file(beside: &[Beside], cluster: bool) -> String {
    let by_default = [Beside::Side(Side::Lean), Beside::Side(Side::Node), Beside::Commit(EARLIER.to_owned())];
    let name = |beside: &Beside| match beside {
        Beside::Side(side) => side.to_possible_value().unwrap().get_name().to_owned(),
        Beside::Commit(hash) => hash.clone(),
    };
    let mut parts = vec!["chain".to_owned()];
    if beside != by_default {
        parts.extend(beside.iter().map(name));
    }
    parts.extend(cluster.then(|| "cluster".to_owned()));
    parts.join("-")
}

fn table(results: &Results) -> String {
    let Results { machine, rounds, count, connections, low_rate, seconds, compared, turns } = results;
    let generator = Spread::of(turns.iter().map(|turn| turn.cpu_us.generator));
    let mut text = format!(
        "{machine}\n\n{rounds} rounds, median (min–max). Per turn {count} webhooks over {connections}\n\
         connections, each posted when the one before is answered; then {low_rate:.0}/s for {seconds} s,\n\
         which give the milliseconds since a webhook was due. Load generator and consumer shared the cores,\n\
         with {generator:.1} µs per webhook that are not counted.\n"
    );
    let ours = turns.iter().filter(|turn| turn.chain == pairs::name(Side::Ours));
    let bundled = Spread::of(ours.filter_map(|turn| turn.webhooks_per_message));
    writeln!(text, "Ours had {bundled:.1} webhooks in a message to the raw queue.").unwrap();
    for Compared { beside, description, charted, further, by_order } in compared {
        writeln!(text, "\nBeside {description}\n\n{}", compare::head(beside).trim_end()).unwrap();
        text.extend(charted.iter().chain(further).map(|row| row.row("chain")));
        if let [Some(first), Some(second)] = by_order {
            writeln!(text, "total CPU, ratio when ours ran first {first:.2}, when it ran second {second:.2}")
                .unwrap();
        }
    }
    text += "\nTargets\n";
    for Compared { beside, charted, .. } in compared {
        text.extend(charted.iter().map(|row| row.verdict("chain", beside)));
    }
    text
}

/// Draws the ratios of hookswitch to the other chains.
fn ratios(results: &Results) -> String {
    let bars = results.compared.iter().flat_map(|Compared { beside, charted, .. }| {
        charted.iter().map(move |comparison| comparison.bar(beside))
    });
    let mut lines =
        vec!["From the POST to the event at a consumer: hookswitch ÷ the other chain, in turn".to_owned()];
    lines.extend(results.compared.iter().map(|one| format!("{}: {}", one.beside, one.description)));
    lines.push(circumstances(results));
    chart::ratios("The whole chain, by other chains", &lines, "the other", &bars.collect::<Vec<_>>())
}

/// Draws what a webhook costs in each chain, by process.
fn costs(results: &Results) -> String {
    let ours = Beside::Side(Side::Ours).to_string();
    let chains = std::iter::once(&ours).chain(results.compared.iter().map(|one| &one.beside));
    let bars = chains.map(|chain| {
        let turns: Vec<_> = results.turns.iter().filter(|turn| turn.chain == *chain).collect();
        stack(if *chain == ours { "hookswitch".to_owned() } else { chain.clone() }, &turns)
    });
    let lines = [
        "CPU per webhook from the POST to the event at a consumer, and webhooks per second".to_owned(),
        circumstances(results),
    ];
    chart::stacks("What a webhook costs", &lines, &PARTS, &bars.collect::<Vec<_>>())
}

fn circumstances(results: &Results) -> String {
    let Machine { cores, cpu, rabbitmq, redis, date, commit, .. } = &results.machine;
    format!(
        "{} rounds, {date}, {commit}, {cores} cores of {cpu}, RabbitMQ {rabbitmq}, Redis {redis}",
        results.rounds
    )
}

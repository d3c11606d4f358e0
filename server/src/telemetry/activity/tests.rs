use std::collections::HashSet;

use volume::keys::Keys;

use super::finished::RECENT;
use super::rates::Interval;
use super::*;
use crate::auth::caller::Caller;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// As on a machine with this number of cores.
fn activity(shards: usize) -> Activity {
    Activity { shards: Shards::new(shards), ..Activity::default() }
}

fn begin(activity: &Activity, path: &str) -> Arc<InFlight> {
    activity.begin(&Method::GET, path.to_owned(), CLIENT)
}

fn end(activity: &Activity, open: &Arc<InFlight>, status: u16, millis: u64) {
    let (took, time) = (open.elapsed(), Timestamp::now());
    let latency = Duration::from_millis(millis);
    activity.end(open, Ended { status, latency, took, time, is_complete: true });
}

fn passed<'a>(path: &'a str, caller: &'a Caller) -> Immediate<'a> {
    Immediate {
        method: &Method::GET,
        path,
        client: CLIENT,
        caller,
        status: 206,
        kind: Some("single"),
        began: Instant::now(),
        took: Duration::ZERO,
        sent: 100,
        is_complete: true,
    }
}

/// A caller with a key.
fn holder(user: &str) -> Caller {
    let keys = Keys::parse(format!("{user},{user}-secret-0123456789,write\n").as_bytes());
    let key = volume::keys::PlainKey::new(format!("{user}-secret-0123456789").as_bytes());
    Caller::Holder(keys.find(key.hash()).unwrap().clone())
}

/// Does the same in several threads, each with its own shard.
fn in_threads(activity: &Activity, work: impl Fn(usize) + Sync) {
    assert_eq!(activity.shards.each().count(), 4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn sum(activity: &Activity, figure: fn(&Interval) -> u64) -> u64 {
    activity.figures(60).parts.iter().map(figure).sum()
}

#[test]
fn requests_are_open_and_then_over() {
    let activity = Activity::default();
    let first = begin(&activity, "/files/a");
    let second = begin(&activity, "/files/b");
    activity.sent(&first, 10);
    activity.received(&second, 20);
    assert_eq!(activity.open().iter().map(|it| it.sent).collect::<Vec<_>>(), [10, 0]);
    end(&activity, &first, 200, 4);
    end(&activity, &second, 503, 90);
    assert!(activity.open().is_empty());
    let recent = activity.recent(1);
    assert_eq!((recent.len(), recent[0].path.as_str(), recent[0].received), (1, "/files/b", 20));
    assert_eq!((sum(&activity, |it| it.requests), sum(&activity, |it| it.errors)), (2, 1));
    end(&activity, &begin(&activity, "/files/none"), 404, 1);
    assert_eq!((sum(&activity, |it| it.refused), sum(&activity, |it| it.errors)), (1, 1));
    assert_eq!((sum(&activity, |it| it.sent), sum(&activity, |it| it.received)), (10, 20));
    let figures = activity.figures(60);
    let slowest = figures.parts.iter().map(|it| it.p99_micros).max().unwrap();
    assert_eq!(slowest, figures.p99_micros);
}

#[test]
fn a_long_request_is_told_to_whoever_has_seen_shorter_ones_end() {
    let activity = Activity::default();
    let long = begin(&activity, "/files/long");
    end(&activity, &begin(&activity, "/files/short"), 200, 1);
    let seen = activity.recent(0).last().unwrap().seq + 1;
    end(&activity, &long, 200, 1);
    let news: Vec<_> = activity.recent(seen).into_iter().map(|it| it.path).collect();
    assert_eq!(news, ["/files/long"]);
}

#[test]
fn latencies_are_right_to_a_fifth() {
    let activity = Activity::default();
    for millis in [1, 2, 4, 4, 4, 4, 4, 5, 6, 700] {
        end(&activity, &begin(&activity, "/"), 200, millis);
    }
    let figures = activity.figures(60);
    assert!((4000..=4800).contains(&figures.p50_micros), "{figures:?}");
    assert!((700_000..=840_000).contains(&figures.p99_micros), "{figures:?}");
    assert_eq!(Activity::default().figures(60).p50_micros, 0);
}

#[test]
fn only_so_many_requests_are_remembered() {
    let activity = Activity::default();
    for _ in 0..RECENT + 10 {
        end(&activity, &begin(&activity, "/"), 200, 1);
    }
    let recent = activity.recent(0);
    assert_eq!((recent.len(), recent[0].seq), (RECENT, 10));
    end(&activity, &begin(&activity, "/"), 200, 1);
    let recent = activity.recent(0);
    assert_eq!((recent.len(), recent[0].seq), (RECENT, 11));
}

#[test]
fn what_several_threads_have_accounted_for_is_put_together() {
    let activity = activity(4);
    let caller = holder("kmt");
    in_threads(&activity, |thread| {
        for _ in 0..10 {
            let open = activity.begin(&Method::PUT, format!("/files/{thread}"), CLIENT);
            open.is_from(&caller);
            activity.received(&open, 3);
            activity.answered(&open, 201, None);
            end(&activity, &open, 201, 1);
        }
        activity.passed(passed("/files/a", &Caller::Anyone));
    });
    assert_eq!(sum(&activity, |it| it.requests), 44);
    assert_eq!((sum(&activity, |it| it.received), sum(&activity, |it| it.sent)), (120, 400));
    let recent = activity.recent(0);
    assert!(recent.iter().map(|it| it.seq).eq(0..44));
    assert!(activity.recent(44).is_empty());
    let uses: Vec<_> = activity.key_uses().into_values().collect();
    assert_eq!((uses.len(), uses[0].today), (1, 40));
    let tally = activity.tally();
    let (_, files) = tally.routes().find(|(it, _)| *it == "/files/{*path}").unwrap();
    let mut statuses = files.statuses.clone();
    statuses.sort_unstable();
    assert_eq!(statuses, [(201, 40), (206, 4)]);
    assert_eq!((files.received, files.sent, files.last_byte.count()), (120, 400, 44));
    assert!(tally.ranges().eq([("whole", 0), ("single", 4), ("multi", 0), ("unsatisfiable", 0)]));
}

#[test]
fn what_is_under_way_in_several_threads_is_told_in_the_order_in_which_it_began() {
    let activity = activity(4);
    let open = Mutex::new(Vec::new());
    in_threads(&activity, |_| {
        for path in ["/events", "/files/a", "/other"] {
            let request = begin(&activity, path);
            activity.answered(&request, if path == "/other" { 404 } else { 200 }, None);
            lock(&open).push(request);
        }
    });
    let mut open = open.into_inner().unwrap();
    assert_eq!(open.iter().filter(|it| it.is_first()).count(), 1);
    open.sort_by_key(|it| (it.began(), it.number));
    let told: Vec<u64> = activity.open().iter().map(|it| it.seq).collect();
    assert!(told.iter().eq(open.iter().map(|it| &it.number)));
    assert_eq!(told.iter().collect::<HashSet<_>>().len(), 12);
    assert_eq!(activity.under_way(), UnderWay { all: 12, uploads: 0, streams: 4 });
    let work = activity.work();
    assert_eq!((work.is_wanted, work.downloads, work.needed), (true, 4, None));
    // They may end in other threads.
    for request in &open {
        end(&activity, request, 200, 1);
    }
    assert_eq!(activity.under_way(), UnderWay::default());
    assert!(activity.work().needed.is_some());
    // Their positions are used again.
    let again = begin(&activity, "/files/b");
    assert_eq!(activity.open().len(), 1);
    end(&activity, &again, 200, 1);
}

#[test]
fn a_shard_that_has_forgotten_some_does_not_hide_what_is_newer() {
    let activity = activity(4);
    in_threads(&activity, |thread| {
        for _ in 0..if thread == 0 { RECENT + 100 } else { 1 } {
            activity.passed(passed("/", &Caller::Anyone));
        }
    });
    activity.passed(passed("/last", &Caller::Anyone));
    let recent = activity.recent(0);
    let all = RECENT as u64 + 104;
    assert!(recent.iter().map(|it| it.seq).eq(104..all));
    assert_eq!(recent.last().unwrap().path, "/last");
}

#[test]
fn who_asks_for_what_is_new_misses_nothing() {
    let activity = activity(4);
    let is_over = AtomicBool::new(false);
    let mut seen = Vec::new();
    let mut look = || {
        let since = seen.last().map_or(0, |it| it + 1);
        seen.extend(activity.recent(since).into_iter().map(|it| it.seq));
    };
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            in_threads(&activity, |_| {
                for _ in 0..100 {
                    activity.passed(passed("/", &Caller::Anyone));
                }
            });
            is_over.store(true, Relaxed);
        });
        while !is_over.load(Relaxed) {
            look();
        }
        others.join().unwrap();
    });
    look();
    assert!(seen.iter().copied().eq(0..400), "{seen:?}");
}

#[test]
fn what_passed_is_remembered_like_what_began_and_ended() {
    let (one, other) = (activity(1), activity(1));
    let caller = holder("kmt");
    let open = begin(&one, "/files/a");
    open.is_from(&caller);
    one.answered(&open, 206, Some("single"));
    one.sent(&open, 100);
    end(&one, &open, 206, 0);
    other.passed(passed("/files/a", &caller));
    assert!(open.is_first() && other.has_begun() && !begin(&other, "/").is_first());
    let told = [&one, &other].map(|it| {
        let told = it.recent(0).remove(0);
        let changed = it.take_changed_key_uses().unwrap();
        assert_eq!(it.take_changed_key_uses(), None);
        let (id, used) = changed.into_iter().next().unwrap();
        let work = it.work();
        let tally = it.tally();
        let (_, route) = tally.routes().find(|(it, _)| *it == "/files/{*path}").unwrap();
        (
            (told.seq, told.status, told.method, told.path, told.sent, told.received),
            (told.username, told.client, told.complete),
            (id, used.what, used.from, used.today),
            (work.is_wanted, work.needed.is_some(), it.counted.launch.lengths().1.is_some()),
            (route.statuses.clone(), route.sent, route.first_byte.count()),
            (tally.ranges().collect::<Vec<_>>(), sum(it, |it| it.requests), sum(it, |it| it.sent)),
        )
    });
    assert_eq!(told[0], told[1]);
    // A request for the health without a key is no demand.
    let health = Immediate { status: 200, kind: None, ..passed("/health", &Caller::Anyone) };
    let activity = Activity::default();
    activity.passed(health);
    assert_eq!(activity.work(), Work::default());
}

#[test]
fn uses_of_keys_are_told_by_the_last_of_them_and_counted_by_day() {
    let activity = activity(4);
    let callers = ["kmt", "ana"].map(holder);
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let at = |path: &str, caller: &Caller, when: &str| {
        activity.passed_by(passed(path, caller), time(when));
    };
    // Midnight passes meanwhile, and each thread knows a part of the uses.
    in_threads(&activity, |thread| {
        let last = format!("2026-11-21T10:00:0{thread}Z");
        at("/files/early", &callers[0], "2026-11-20T23:59:59Z");
        at(&format!("/files/{thread}"), &callers[0], &last);
        at("/files/b", &callers[1], "2026-11-20T10:00:00Z");
    });
    let uses = activity.key_uses();
    let of = |user: &str| {
        let caller = callers.iter().find(|it| it.user() == Some(user)).unwrap();
        &uses[&caller.key().unwrap().hashed.id()]
    };
    let (kmt, ana) = (of("kmt"), of("ana"));
    assert_eq!((kmt.today, kmt.before[0], kmt.what.as_str()), (4, 4, "GET /files/3"));
    assert_eq!(kmt.last, time("2026-11-21T10:00:03Z"));
    assert_eq!((ana.today, ana.before[0], ana.what.as_str()), (4, 0, "GET /files/b"));
    activity.remember(KeyUses::from([("old".to_owned(), ana.clone())]));
    assert_eq!(activity.take_changed_key_uses().unwrap().len(), 3);
    assert_eq!(activity.take_changed_key_uses(), None);
}

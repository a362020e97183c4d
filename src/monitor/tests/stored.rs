//! Rules, hours and saved states as bytes.

use proptest::prelude::*;

use super::*;
use crate::bytes::Reader;

fn busy() -> Monitor {
    let mut monitor = Monitor::new(MonitoringRules::new());
    let host = Host::says("own", CareAnswer::Yes);
    fed(&mut monitor, &[read(3, noon(), 1, 1), denied(4, noon(), 2), read(5, noon(), 2, 7)], &host);
    monitor
}

#[test]
fn a_state_that_was_cut_or_prolonged_is_refused_and_none_that_was_flipped_is_taken_for_the_same() {
    let bytes = busy().save();
    let resume = |bytes: &[u8]| Monitor::resume(MonitoringRules::new(), bytes);
    assert_eq!(resume(&bytes).unwrap().save(), bytes);
    for len in 0..bytes.len() {
        assert_eq!(resume(&bytes[..len]), Err(InvalidMonitorState), "{len}");
    }
    assert_eq!(resume(&[&bytes[..], &[0]].concat()), Err(InvalidMonitorState));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(resume(&bad).map(|monitor| monitor.save()).as_ref(), Ok(&bytes), "bit {bit}");
    }
    let bomb = [&[1][..], &[0; 12], &[0xFF; 4]].concat();
    assert_eq!(resume(&bomb), Err(InvalidMonitorState));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_state_and_no_rules_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Monitor::resume(MonitoringRules::new(), &bytes);
        let _ = MonitoringRules::decode(Reader::new(&bytes));
    }

    #[test]
    fn rules_come_back(
        (volume, denials, sign_ins) in any::<(u16, u16, u16)>(),
        (times, least, records, seconds) in any::<(u8, u16, u32, u32)>(),
        hours in proptest::option::of((0u8..9, any::<(u8, u8)>(), any::<(u8, u8)>())),
        off in 0usize..11,
    ) {
        let within = Duration::from_secs(seconds.into());
        let mut rules = MonitoringRules::new()
            .volume(volume, within).unusual(times, least).denials(denials, within).sign_ins(sign_ins, within)
            .exports(records, within).review_within(within).without(MonitorRule::ALL[off]);
        if let Some((day, from, until)) = hours {
            rules = rules.opening_hours(OpeningHours::new("UTC0").unwrap().open(1..=day, from, until));
        }
        let mut bytes = Vec::new();
        rules.encode(&mut bytes);
        prop_assert_eq!(MonitoringRules::decode(Reader::new(&bytes)), Ok(rules));
    }
}

#[test]
fn a_zone_says_itself_when_summer_begins() {
    let hours = OpeningHours::new("EST5EDT,M3.2.0,M11.1.0").unwrap().open(1..=7, (7, 0), (19, 0));
    assert!(
        !hours.covers("2026-01-05T11:59:59Z".parse().unwrap()) && hours.covers("2026-01-05T12:00:00Z".parse().unwrap())
    );
    assert!(
        !hours.covers("2026-07-06T10:59:59Z".parse().unwrap()) && hours.covers("2026-07-06T11:00:00Z".parse().unwrap())
    );
    for bad in ["", "Europe/Berlin", &"X".repeat(65)] {
        assert_eq!(OpeningHours::new(bad), Err(InvalidZone), "{bad}");
    }
    assert!(!hours.covers(Timestamp::MAX) && local(None, Timestamp::MIN).is_none());
    let monday = local(Some(&hours), "2026-01-05T03:00:00Z".parse().unwrap()).unwrap();
    assert_eq!((monday.weekday, monday.minute, monday.day), (6, 22 * 60, 20_457), "still Sunday there");
}

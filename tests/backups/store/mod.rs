//! Backups in a bucket, against a server that speaks like S3, with a network that fails in between.

mod others;
mod proxy;
mod server;
mod vault;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chartvault::{BackupTarget, StoreTarget, TargetError};
use proxy::{Asked, Fate, Proxy, status};
use server::{new_target, server};

fn names(target: &dyn BackupTarget, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    target.list(prefix, &mut |object| found.push(object.name)).unwrap();
    found
}

/// A target behind a proxy, that gives up soon.
fn behind(proxy: &Proxy, bucket: &str) -> StoreTarget {
    new_target(proxy.port, bucket).patience(Duration::from_secs(3)).open().unwrap()
}

/// A target that nobody serves but the proxy itself.
fn alone(fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> (StoreTarget, Proxy) {
    let proxy = Proxy::new(0, fate);
    (behind(&proxy, "alone"), proxy)
}

/// Bytes that differ from place to place.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn what_is_put_is_got_and_listed_and_removed() {
    let Some(server) = server() else { return };
    let target = server.target("everyday");
    assert_eq!(target.name(), "s3://everyday/ward-3/of_clinic.a");
    assert_eq!(names(&target, ""), [""; 0]);
    for (number, len) in [0, 1, 1000, 64 << 10, (5 << 20) + 1, 20 << 20].into_iter().enumerate() {
        let name = format!("objects/{number:032x}");
        target.put_new(&name, &bytes(len)).unwrap();
        assert!(target.get(&name, len).unwrap() == bytes(len), "{len} bytes");
        if len > 0 {
            let refused = target.get(&name, len - 1);
            let expected = u64::try_from(len).unwrap();
            assert!(matches!(refused, Err(TargetError::TooLarge { len, .. }) if len == expected), "{len} bytes");
        }
    }
    let too_large = target.put_new("objects/9", &bytes((20 << 20) + 1));
    assert!(matches!(too_large, Err(TargetError::TooLarge { limit, .. }) if limit == 20 << 20));
    assert_eq!(names(&target, "").len(), 6);

    target.delete("objects/00000000000000000000000000000000").unwrap();
    let gone = target.get("objects/00000000000000000000000000000000", 10);
    assert!(matches!(gone, Err(TargetError::Absent { name }) if name == "objects/00000000000000000000000000000000"));
    assert_eq!(names(&target, "objects/").len(), 5);
}

#[test]
fn what_is_there_is_never_replaced() {
    let Some(server) = server() else { return };
    let target = server.target("once");
    target.put_new("objects/0", b"first").unwrap();
    for bytes in [&b"first"[..], b"second"] {
        let again = target.put_new("objects/0", bytes);
        assert!(matches!(again, Err(TargetError::Exists { name }) if name == "objects/0"));
    }
    let other = new_target(server.port, "once").open().unwrap();
    assert!(matches!(other.put_new("objects/0", b"third"), Err(TargetError::Exists { .. })));
    assert_eq!(target.get("objects/0", 100).unwrap(), b"first");
}

#[test]
fn of_many_who_put_one_name_one_succeeds() {
    let Some(server) = server() else { return };
    let target = server.target("raced");
    for round in 0..10 {
        let name = format!("objects/{round}");
        let done = std::thread::scope(|scope| {
            let put = |by: u8| {
                let (target, name) = (&target, &name);
                scope.spawn(move || target.put_new(name, &[by; 5000]).map(|()| by))
            };
            [0, 1, 2, 3].map(put).map(|thread| thread.join().unwrap())
        });
        let won: Vec<u8> = done.iter().filter_map(|done| done.as_ref().ok().copied()).collect();
        assert_eq!(won.len(), 1, "{done:?}");
        assert_eq!(done.iter().filter(|done| matches!(done, Err(TargetError::Exists { .. }))).count(), 3, "{done:?}");
        assert_eq!(target.get(&name, 5000).unwrap(), [won[0]; 5000]);
    }
}

#[test]
fn a_list_goes_over_pages_and_passes_over_what_is_no_object() {
    let Some(server) = server() else { return };
    let target = server.target("long");
    // A page has a thousand.
    assert_eq!(server.tell("fill long ward-3/of_clinic.a/objects/ 2100"), "ok");
    for key in ["ward-3/of_clinic.a/objects/UPPER", "ward-3/of_clinic.abc/objects/1", "ward-3/of_clinic.a/notes.txt"] {
        assert_eq!(server.tell(&format!("put long {key} x")), "ok");
    }
    target.put_new("manifests/0000000001", b"m").unwrap();
    target.put_new("packs/0000000001/0001", b"p").unwrap();
    let mut found = Vec::new();
    target.list("objects/", &mut |object| found.push(object)).unwrap();
    assert_eq!(found.len(), 2100);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(n, object)| object.name == format!("objects/{n:06}") && object.len == n as u64 % 7)
    );
    assert_eq!(names(&target, "objects/00205").len(), 10);
    assert_eq!(names(&target, "m"), ["manifests/0000000001"]);
    assert_eq!(names(&target, "packs/0000000001/"), ["packs/0000000001/0001"]);
    assert_eq!(names(&target, "").len(), 2102);
    assert!(matches!(target.list("../", &mut drop), Err(TargetError::BadName { .. })));

    let whole = StoreTarget::s3("long", "").setting("endpoint", format!("http://127.0.0.1:{}", server.port));
    let whole = whole.setting("access_key_id", "a").setting("secret_access_key", "b").open().unwrap();
    whole.put_new("objects/0", b"x").unwrap();
    assert_eq!(names(&whole, ""), ["objects/0"], "the others have no names of objects");
    assert_eq!(whole.get("objects/0", 1).unwrap(), b"x");
}

#[test]
fn what_is_locked_stays_whoever_removes_it() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("locked locked"), "ok");
    let target = new_target(server.port, "locked").open().unwrap();
    target.put_new("objects/0", b"sealed").unwrap();
    assert!(matches!(target.put_new("objects/0", b"other"), Err(TargetError::Exists { .. })));
    // Removing hides it, which a bucket with versions can undo; what was written cannot be destroyed.
    target.delete("objects/0").unwrap();
    assert!(matches!(target.get("objects/0", 10), Err(TargetError::Absent { .. })));
    let key = "ward-3/of_clinic.a/objects/0";
    let version = server.tell(&format!("versions locked {key}"));
    assert!(!version.is_empty() && !version.contains(' '), "{version:?}");
    let refused = server.tell(&format!("destroy locked {key} {version}"));
    assert!(refused.starts_with("refused") && refused.contains("AccessDenied"), "{refused}");
}

#[test]
fn what_the_store_does_not_allow_is_refused() {
    let (target, _proxy) = alone(|_| status("403 Forbidden", "AccessDenied"));
    let refused = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Refused { why, .. }) if why.contains("AccessDenied"));
    assert!(refused(target.put_new("objects/0", b"x")));
    assert!(refused(target.get("objects/0", 10).map(drop)));
    assert!(refused(target.delete("objects/0")));
    assert!(refused(target.list("", &mut drop)));
    let (target, proxy) = alone(|_| status("409 Conflict", "BlobImmutableDueToPolicy"));
    assert!(matches!(target.delete("objects/0"), Err(TargetError::Refused { name, .. }) if name == "objects/0"));
    assert_eq!(proxy.asked(), 1, "a lock does not pass");
    let (target, _proxy) = alone(|_| status("401 Unauthorized", "InvalidAccessKeyId"));
    assert!(matches!(target.get("objects/0", 10), Err(TargetError::Refused { .. })));
}

#[test]
fn every_tenth_request_fails_and_nobody_notices() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("bucket shaky"), "ok");
    let failed = Arc::new(AtomicU32::new(0));
    let count = failed.clone();
    let proxy = Proxy::new(server.port, move |asked| {
        if asked.before % 10 != 9 {
            return Fate::Pass;
        }
        match count.fetch_add(1, Ordering::SeqCst) % 5 {
            0 => status("503 Service Unavailable", "SlowDown"),
            1 => Fate::CutBefore,
            2 => Fate::CutAfter,
            3 => Fate::CutMidway,
            _ => status("500 Internal Server Error", "InternalError"),
        }
    });
    let target = new_target(proxy.port, "shaky").open().unwrap();
    for n in 0..150 {
        let (name, bytes) = (format!("objects/{n:04}"), bytes(n * 37));
        target.put_new(&name, &bytes).unwrap();
        assert_eq!(target.get(&name, bytes.len()).unwrap(), bytes);
        if n % 10 == 0 {
            assert_eq!(names(&target, "objects/").len(), n + 1);
            assert!(matches!(target.put_new(&name, b"other"), Err(TargetError::Exists { .. })));
        }
    }
    let calm = new_target(server.port, "shaky").open().unwrap();
    assert_eq!(names(&calm, "objects/").len(), 150);
    assert!(failed.load(Ordering::SeqCst) > 20);
}

#[test]
fn a_write_whose_answer_was_lost_has_succeeded_if_it_is_the_same() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("bucket lost"), "ok");
    let direct = new_target(server.port, "lost").open().unwrap();
    direct.put_new("objects/9", b"x").unwrap();
    for fate in 0..3 {
        let cut = Proxy::new(server.port, move |asked| match (asked.method.as_str(), asked.before) {
            ("PUT", 1) if fate == 0 => Fate::CutAfter,
            ("PUT", 1) if fate == 1 => Fate::CutMidway,
            ("PUT", 1) => Fate::CutBefore,
            _ => Fate::Pass,
        });
        let target = behind(&cut, "lost");
        let name = format!("objects/{fate}");
        target.put_new(&name, b"sealed").unwrap();
        assert_eq!(direct.get(&name, 100).unwrap(), b"sealed");
        assert!(matches!(target.put_new(&name, b"sealed"), Err(TargetError::Exists { .. })), "that was another call");
    }
    // Somebody else's is not taken for one's own.
    for taken in [&b"sealeD"[..], b"sealed by another", b""] {
        let name = format!("objects/a{}", taken.len());
        direct.put_new(&name, taken).unwrap();
        let cut = Proxy::new(server.port, |asked| if asked.before == 1 { Fate::CutAfter } else { Fate::Pass });
        let done = behind(&cut, "lost").put_new(&name, b"sealed");
        assert!(matches!(done, Err(TargetError::Exists { .. })), "{done:?}");
        assert_eq!(direct.get(&name, 100).unwrap(), taken);
    }
}

#[test]
fn a_conflict_is_not_taken_for_an_object() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("bucket conflict"), "ok");
    let proxy = Proxy::new(server.port, |asked| match asked.before {
        1 | 3 => status("409 Conflict", "ConditionalRequestConflict"),
        _ => Fate::Pass,
    });
    behind(&proxy, "conflict").put_new("objects/0", b"sealed").unwrap();
    assert_eq!(new_target(server.port, "conflict").open().unwrap().get("objects/0", 10).unwrap(), b"sealed");
}

#[test]
fn a_store_that_replaces_is_not_written_to() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("bucket careless"), "ok");
    let proxy = Proxy::new(server.port, |_| Fate::Without("if-none-match"));
    let target = behind(&proxy, "careless");
    for _ in 0..2 {
        let done = target.put_new("objects/0", b"sealed");
        assert!(matches!(&done, Err(TargetError::Settings { why }) if why.contains("replaces")), "{done:?}");
    }
    assert_eq!(server.tell("keys careless"), "ward-3/of_clinic.a/chartvault-backups.txt");
}

#[test]
fn a_bucket_that_is_not_there_is_no_empty_one() {
    let Some(server) = server() else { return };
    let target = new_target(server.port, "nowhere").open().unwrap();
    let gone = |done: Result<(), TargetError>| matches!(&done, Err(TargetError::Unreachable { retry: false, why }) if why.contains("NoSuchBucket"));
    assert!(gone(target.list("", &mut drop)));
    assert!(gone(target.get("objects/0", 10).map(drop)));
    assert!(gone(target.put_new("objects/0", b"x")));
}

#[test]
fn what_never_answers_is_given_up() {
    let proxy = Proxy::new(0, |_| Fate::Silence);
    let target = || new_target(proxy.port, "alone").patience(Duration::from_millis(300)).open().unwrap();
    let lost = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Unreachable { retry: true, .. }));
    assert!(lost(target().put_new("objects/0", b"x")));
    assert!(lost(target().get("objects/0", 10).map(drop)));
    assert!(lost(target().delete("objects/0")));
    assert!(lost(target().list("", &mut drop)));
    // Nor does anybody listen here.
    let port = proxy.port;
    drop(proxy);
    let target = new_target(port, "alone").patience(Duration::from_millis(300)).open().unwrap();
    assert!(lost(target.put_new("objects/0", b"x")));
    assert!(lost(target.list("", &mut drop)));
}

#[test]
fn what_does_not_help_is_not_tried_again() {
    let (target, proxy) = alone(|_| status("400 Bad Request", "AuthorizationHeaderMalformed"));
    assert!(matches!(target.list("", &mut drop), Err(TargetError::Unreachable { retry: false, .. })));
    assert_eq!(proxy.asked(), 1);
    let (target, proxy) = alone(|_| status("503 Service Unavailable", "SlowDown"));
    assert!(matches!(target.list("", &mut drop), Err(TargetError::Unreachable { retry: true, .. })));
    assert!(proxy.asked() > 1);
    let (target, proxy) = alone(|_| status("301 Moved Permanently", "PermanentRedirect"));
    assert!(matches!(target.list("", &mut drop), Err(TargetError::Unreachable { retry: false, .. })));
    assert_eq!(proxy.asked(), 1);
}

#[test]
fn a_store_without_room_is_full() {
    for (line, code) in [("507 Insufficient Storage", "XMinioStorageFull"), ("403 Forbidden", "QuotaExceeded")] {
        let (target, proxy) = alone(move |_| status(line, code));
        assert!(matches!(target.put_new("objects/0", b"x"), Err(TargetError::Full)), "{line}");
        assert_eq!(proxy.asked(), 1);
    }
}

#[test]
fn an_answer_that_is_huge_or_cut_is_not_believed() {
    let head = "ETag: \"0\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    let huge = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 1099511627776\r\n\r\nxxx");
    let (target, _proxy) = alone(move |_| Fate::Answer(huge.clone()));
    let done = target.get("objects/0", 20 << 20);
    assert!(matches!(done, Err(TargetError::TooLarge { len: 1_099_511_627_776, .. })), "{done:?}");

    let short = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 100\r\n\r\n{}", "x".repeat(50));
    let (target, proxy) = alone(move |_| Fate::Answer(short.clone()));
    let done = target.get("objects/0", 100);
    assert!(matches!(done, Err(TargetError::Unreachable { retry: true, .. })), "{done:?}");
    assert!(proxy.asked() > 1);

    // A page of a list, and an error, that do not come to an end.
    for status in ["200 OK", "403 Forbidden"] {
        let endless = format!("HTTP/1.1 {status}\r\nContent-Length: 90000000\r\n\r\n{}", "x".repeat(26 << 20));
        let (target, _proxy) = alone(move |_| Fate::Answer(endless.clone()));
        let done = target.list("", &mut drop);
        assert!(matches!(done, Err(TargetError::Unreachable { .. })), "{done:?}");
    }
}

#[test]
fn a_list_that_is_in_no_order_or_has_no_end_is_not_believed() {
    let page = |keys: &[&str], next: &str| {
        let object = |key: &&str| {
            format!(
                "<Contents><Key>ward-3/of_clinic.a/{key}</Key><Size>1</Size><LastModified>2015-10-21T07:28:00.000Z</LastModified>\
                 <ETag>0</ETag></Contents>"
            )
        };
        let objects: String = keys.iter().map(object).collect();
        let body = format!("<ListBucketResult>{objects}{next}</ListBucketResult>");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let more = "<NextContinuationToken>more</NextContinuationToken>";
    let good = page(&["objects/1", "objects/2"], "");
    let (target, _proxy) = alone(move |_| Fate::Answer(good.clone()));
    assert_eq!(names(&target, ""), ["objects/1", "objects/2"]);
    for bad in [page(&["objects/2", "objects/1"], ""), page(&["objects/1"], more), page(&[], more)] {
        let (target, proxy) = alone(move |_| Fate::Answer(bad.clone()));
        let done = target.list("", &mut drop);
        assert!(
            matches!(&done, Err(TargetError::Unreachable { retry: false, why }) if why.contains("order")),
            "{done:?}"
        );
        assert!(proxy.asked() < 1100);
    }
}

#[test]
fn nothing_is_sent_unencrypted_to_another_machine() {
    let target =
        StoreTarget::s3("clinic", "").setting("endpoint", "http://192.0.2.1:9000").setting("access_key_id", "a");
    let target = target.setting("secret_access_key", "b").open().unwrap();
    let done = target.list("", &mut drop);
    assert!(matches!(&done, Err(TargetError::Unreachable { retry: false, why }) if why.contains("https")), "{done:?}");
}

#[test]
fn settings_are_checked_and_told_without_secrets() {
    let bad = |new: chartvault::NewStoreTarget| matches!(new.open(), Err(TargetError::Settings { .. }));
    for prefix in ["/a", "a/", "a//b", "..", "a/../b", "a b", "ä", &"a".repeat(501)] {
        assert!(bad(StoreTarget::s3("clinic", prefix)), "{prefix}");
    }
    let new = || new_target(1, "clinic");
    assert!(bad(new().setting("no_such_thing", "x")));
    assert!(bad(new().patience(Duration::ZERO)));
    assert!(bad(new().root_certificates("no certificate")));
    assert!(bad(new().root_certificates("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n")));
    let target = new().named("the bucket of the clinic").open().unwrap();
    assert_eq!(target.name(), "the bucket of the clinic");
    let (refused, _proxy) = alone(|_| status("403 Forbidden", "AccessDenied"));
    let error = refused.get("objects/0", 1).unwrap_err();
    for told in [format!("{:?}", new()), format!("{target:?}"), format!("{error:?} {error}")] {
        assert!(!told.contains("the-secret-of-the-test") && !told.contains("AKIAKEY"), "{told}");
    }
}

#[test]
fn a_store_with_an_authority_of_its_own_is_asked_over_tls() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(server.tell("bucket encrypted"), "ok");
    let port = server.tell(&format!("tls {}", dir.path().display()));
    let new = || {
        let new = StoreTarget::s3("encrypted", "").setting("endpoint", format!("https://127.0.0.1:{port}"));
        new.setting("access_key_id", "a").setting("secret_access_key", "b")
    };
    let root = std::fs::read(dir.path().join("root.pem")).unwrap();
    let target = new().root_certificates(root).open().unwrap();
    target.put_new("objects/0", &bytes(1 << 20)).unwrap();
    assert!(target.get("objects/0", 1 << 20).unwrap() == bytes(1 << 20));
    // Without, there is nobody to trust it, and nothing is asked of it again.
    let done = new().open().unwrap().get("objects/0", 1 << 20);
    assert!(
        matches!(&done, Err(TargetError::Unreachable { retry: false, why }) if why.contains("certificate")),
        "{done:?}"
    );
}

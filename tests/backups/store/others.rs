//! The same target in stores that are no S3. They are played by the test: what is shown is that they are asked for the right
//! thing, under conditions, with credentials.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chartvault::{BackupTarget, NewStoreTarget, StoreTarget, TargetError};

use super::names;
use super::proxy::{Asked, Fate, Proxy, status};

/// How a store words things.
struct Words {
    /// What a write has to carry so that it replaces nothing.
    condition: (&'static str, &'static str),
    /// What is answered when there is something.
    taken: (&'static str, &'static str),
    /// What is answered when it may not be removed.
    locked: &'static str,
    credential: &'static str,
    listed: fn(&str, usize) -> String,
    list: fn(String) -> String,
}

const GCS: Words = Words {
    condition: ("x-goog-if-generation-match", "0"),
    taken: ("412 Precondition Failed", "PreconditionFailed"),
    locked: "403 Forbidden",
    credential: "Bearer the-token-of-the-test",
    listed: |key, len| {
        format!(
            "<Contents><Key>{key}</Key><Size>{len}</Size><LastModified>2015-10-21T07:28:00Z</LastModified></Contents>"
        )
    },
    list: |objects| format!("<ListBucketResult>{objects}</ListBucketResult>"),
};

const AZURE: Words = Words {
    condition: ("if-none-match", "*"),
    taken: ("409 Conflict", "BlobAlreadyExists"),
    locked: "409 This operation is not permitted as the blob is immutable due to a policy.",
    credential: "SharedKey clinic:",
    listed: |key, len| {
        format!(
            "<Blob><Name>{key}</Name><Properties><Last-Modified>Wed, 21 Oct 2015 07:28:00 GMT</Last-Modified>\
             <Content-Length>{len}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
        )
    },
    list: |objects| format!("<EnumerationResults><Blobs>{objects}</Blobs></EnumerationResults>"),
};

fn decoded(text: &str) -> String {
    text.replace("%2F", "/").replace("%2D", "-").replace("%2E", ".")
}

/// A store with a bucket `backups`.
fn play(words: Words) -> impl Fn(&Asked) -> Fate + Send + Sync {
    let held = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
    let answer = |status: &str, headers: &str, body: &str| {
        let about = "ETag: \"0\"\r\nx-goog-generation: 1\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
        Fate::Answer(format!("HTTP/1.1 {status}\r\n{about}{headers}\r\n{body}"))
    };
    move |asked| {
        if !asked.header("authorization").is_some_and(|given| given.starts_with(words.credential)) {
            return status("403 Forbidden", "AuthenticationFailed");
        }
        let mut held = held.lock().unwrap();
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let mut key = decoded(path.trim_start_matches("/backups").trim_start_matches('/'));
        let mut method = asked.method.as_str();
        // Azure removes several at once, as requests inside a request.
        let batch = query.contains("comp=batch");
        if batch {
            let body = String::from_utf8(asked.body.clone()).unwrap();
            let inner = body.lines().find_map(|line| line.strip_prefix("DELETE ")).unwrap();
            (key, method) = (decoded(inner.split(' ').next().unwrap().trim_start_matches("/backups/")), "DELETE");
        }
        let answer = |status: &str, headers: &str, body: &str| {
            if !batch {
                return answer(status, headers, body);
            }
            let part = format!(
                "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\r\n\r\n--b--\r\n"
            );
            answer(
                "202 Accepted",
                &format!("Content-Type: multipart/mixed; boundary=b\r\nContent-Length: {}\r\n", part.len()),
                &part,
            )
        };
        match (method, held.get(&key)) {
            ("PUT", _) if asked.header(words.condition.0).as_deref() != Some(words.condition.1) => {
                status("400 Bad Request", "Unconditional")
            }
            ("PUT", Some(_)) => status(words.taken.0, words.taken.1),
            ("PUT", None) => {
                held.insert(key, asked.body.clone());
                answer("201 Created", "Content-Length: 0\r\n", "")
            }
            ("GET", _) if query.contains("list") => {
                let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or("");
                let prefix = decoded(prefix);
                let begin = held.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                let body = (words.list)(begin.map(|(key, bytes)| (words.listed)(key, bytes.len())).collect());
                answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), &body)
            }
            ("GET" | "HEAD", Some(bytes)) => {
                let body = String::from_utf8(bytes.clone()).unwrap();
                let len = format!("Content-Length: {}\r\n", body.len());
                answer("200 OK", &len, if asked.method == "GET" { &body } else { "" })
            }
            ("DELETE", Some(_)) if key.contains("locked") => answer(words.locked, "Content-Length: 0\r\n", ""),
            ("DELETE", None) => answer("404 Not Found", "Content-Length: 0\r\n", ""),
            ("DELETE", Some(_)) => {
                held.remove(&key);
                answer("202 Accepted", "Content-Length: 0\r\n", "")
            }
            _ => status("404 Not Found", "NoSuchKey"),
        }
    }
}

/// All that is asked of a target.
fn everything(new: NewStoreTarget, name: &str) {
    let target = new.open().unwrap();
    assert_eq!(target.name(), name);
    target.put_new("objects/1", b"first").unwrap();
    target.put_new("objects/locked", b"").unwrap();
    target.put_new("manifests/0000000001", b"second").unwrap();
    let again = target.put_new("objects/1", b"other");
    assert!(matches!(again, Err(TargetError::Exists { .. })), "{again:?}");
    assert_eq!(target.get("objects/1", 5).unwrap(), b"first");
    assert_eq!(target.get("objects/locked", 5).unwrap(), b"");
    assert!(matches!(target.get("objects/1", 4), Err(TargetError::TooLarge { len: 5, .. })));
    assert_eq!(names(&target, "objects/"), ["objects/1", "objects/locked"]);
    assert_eq!(names(&target, ""), ["manifests/0000000001", "objects/1", "objects/locked"]);
    target.delete("objects/1").unwrap();
    assert!(matches!(target.get("objects/1", 5), Err(TargetError::Absent { .. })));
    assert!(matches!(target.delete("objects/1"), Err(TargetError::Absent { .. })));
    assert!(matches!(target.delete("objects/locked"), Err(TargetError::Refused { .. })));
    let told = format!("{target:?}");
    assert!(!told.contains("test"), "{told}");
}

#[test]
fn google_cloud_storage_is_asked_for_the_same() {
    let proxy = Proxy::new(0, play(GCS));
    let new = StoreTarget::gcs("backups", "ward-3")
        .setting("base_url", format!("http://127.0.0.1:{}", proxy.port))
        .setting("bearer_token", "the-token-of-the-test");
    everything(new, "gs://backups/ward-3");
    assert!(matches!(StoreTarget::gcs("backups", "").setting("nothing", "").open(), Err(TargetError::Settings { .. })));
}

#[test]
fn azure_blob_storage_is_asked_for_the_same() {
    let proxy = Proxy::new(0, play(AZURE));
    let new = StoreTarget::azure("backups", "ward-3")
        .setting("endpoint", format!("http://127.0.0.1:{}", proxy.port))
        .setting("account_name", "clinic")
        .setting("access_key", "dGhlLWtleS1vZi10aGUtdGVzdA==");
    everything(new, "az://backups/ward-3");
    assert!(matches!(
        StoreTarget::azure("backups", "").setting("nothing", "").open(),
        Err(TargetError::Settings { .. })
    ));
}

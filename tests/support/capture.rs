//! Keeps every word and number that `tracing` and `metrics` are given.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata as Meta, Recorder, SharedString,
    Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// What was seen since it was installed for the whole process.
#[derive(Default)]
pub struct Capture {
    lines: Mutex<Vec<String>>,
    spans: Mutex<BTreeMap<u64, &'static Metadata<'static>>>,
    last_span: AtomicU64,
    /// By name and labels: the sum of a counter or gauge, the count of a histogram; and the highest it ever was.
    meters: Mutex<BTreeMap<String, (f64, f64)>>,
}

static CAPTURE: OnceLock<Arc<Capture>> = OnceLock::new();

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Capture {
    pub fn install() -> Arc<Self> {
        let capture = CAPTURE.get_or_init(|| {
            let capture = Arc::new(Self::default());
            tracing::subscriber::set_global_default(Spans(Arc::clone(&capture))).unwrap();
            metrics::set_global_recorder(Meters(Arc::clone(&capture))).map_err(|_| "a recorder is there").unwrap();
            capture
        });
        Arc::clone(capture)
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What a counter, gauge or histogram of this name shows, over all labels that contain `label`.
    pub fn meter(&self, name: &str, label: &str) -> f64 {
        self.sum(name, label, |(now, _)| *now)
    }

    /// The highest that it was.
    pub fn highest(&self, name: &str) -> f64 {
        self.sum(name, "", |(_, highest)| *highest)
    }

    fn sum(&self, name: &str, label: &str, of: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let meters = self.meters.lock().unwrap();
        let start = format!("{name}{{");
        meters
            .iter()
            .filter(|(key, _)| key.starts_with(&start) && key.contains(label))
            .map(|(_, value)| of(value))
            .sum()
    }

    fn line(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn add(&self, key: &str, change: impl FnOnce(f64) -> f64) {
        let mut meters = self.meters.lock().unwrap();
        let (now, highest) = meters.entry(key.to_owned()).or_default();
        *now = change(*now);
        *highest = highest.max(*now);
    }
}

struct Spans(Arc<Capture>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!(" {}={value}", field.name()));
    }
}

fn all_of(metadata: &Metadata<'_>) -> String {
    let (name, target, level) = (metadata.name(), metadata.target(), metadata.level());
    format!("{name} {target} {level} {:?} {:?}", metadata.module_path(), metadata.file())
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "chartvault" || metadata.target() == "host"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.last_span.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.spans.lock().unwrap().insert(id, span.metadata());
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let parent = ENTERED.with_borrow(|entered| entered.last().copied());
        let parent = parent.and_then(|id| self.0.spans.lock().unwrap().get(&id).map(|metadata| metadata.name()));
        self.0.line(format!("span {} in {parent:?}{}", all_of(span.metadata()), fields.0));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let name = self.0.spans.lock().unwrap()[&span.into_u64()].name();
        let mut fields = Fields(format!("record {name}"));
        values.record(&mut fields);
        self.0.line(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(format!("event {}", all_of(event.metadata())));
        event.record(&mut fields);
        self.0.line(fields.0);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let left = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(span.into_u64()), "spans are left in the order in which they were entered");
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().copied()) else { return Current::none() };
        Current::new(Id::from_u64(id), self.0.spans.lock().unwrap()[&id])
    }
}

struct Meters(Arc<Capture>);

struct Meter {
    capture: Arc<Capture>,
    key: String,
}

impl Meter {
    fn of(capture: &Arc<Capture>, key: &Key) -> Arc<Self> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let key = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::new(Self { capture: Arc::clone(capture), key })
    }

    fn seen(&self, value: impl fmt::Display) {
        self.capture.line(format!("meter {} {value}", self.key));
    }
}

impl CounterFn for Meter {
    fn increment(&self, value: u64) {
        self.seen(value);
        self.capture.add(&self.key, |now| now + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.seen(value);
        self.capture.add(&self.key, |_| value as f64);
    }
}

impl GaugeFn for Meter {
    fn increment(&self, value: f64) {
        self.seen(value);
        self.capture.add(&self.key, |now| now + value);
    }

    fn decrement(&self, value: f64) {
        self.seen(value);
        self.capture.add(&self.key, |now| now - value);
    }

    fn set(&self, value: f64) {
        self.seen(value);
        self.capture.add(&self.key, |_| value);
    }
}

impl HistogramFn for Meter {
    fn record(&self, value: f64) {
        self.seen(value);
        self.capture.add(&self.key, |now| now + 1.0);
    }
}

impl Meters {
    fn described(&self, what: &str, key: &KeyName, unit: Option<Unit>, description: &SharedString) {
        self.0.line(format!("describe {what} {} {unit:?} {description}", key.as_str()));
    }
}

impl Recorder for Meters {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.described("counter", &key, unit, &description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.described("gauge", &key, unit, &description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.described("histogram", &key, unit, &description);
    }

    fn register_counter(&self, key: &Key, _: &Meta<'_>) -> Counter {
        Counter::from_arc(Meter::of(&self.0, key))
    }

    fn register_gauge(&self, key: &Key, _: &Meta<'_>) -> Gauge {
        Gauge::from_arc(Meter::of(&self.0, key))
    }

    fn register_histogram(&self, key: &Key, _: &Meta<'_>) -> Histogram {
        Histogram::from_arc(Meter::of(&self.0, key))
    }
}

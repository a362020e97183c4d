//! The figures for other programs.

use serde_json::{Value, json};

use crate::figures::Figures;
use crate::works::FLOOR_GOAL;

pub fn json(figures: &Figures) -> Value {
    let place = &figures.place;
    let rates = |rates: &[Vec<f64>]| -> Value {
        let named = figures.peers.iter().zip(rates).map(|(peer, rates)| (peer.name.to_owned(), json!(rates)));
        Value::Object(named.collect())
    };
    let row = |row: &crate::figures::Row| json!({ "name": row.work.name, "unit": row.work.unit(), "goal": row.work.goal, "per_second": rates(&row.rates) });
    let stored = |stored: &crate::storeroom::Stored| {
        let opens = stored.opens.each_ref().map(
            |opened| json!({ "open_seconds": opened.open.as_secs_f64(), "chart_seconds": opened.chart.as_secs_f64() }),
        );
        json!({ "peer": stored.peer.name, "size": stored.size, "room": stored.room, "opens": opens })
    };
    let cipher = |cipher: &crate::floor::Cipher| json!({ "name": cipher.name, "seal_nanoseconds": cipher.seal, "open_nanoseconds": cipher.open });
    let floor = |(bytes, rates): &(usize, Vec<f64>)| {
        let (operation, share) = FLOOR_GOAL;
        json!({ "bytes": bytes, "per_second": rates, "goal": { "operation": operation, "share": share } })
    };
    json!({
        "place": {
            "rounds": place.rounds, "run_milliseconds": place.millis as u64, "records": place.records,
            "import": place.import, "cores": place.cores, "file_system": place.file_system, "load": place.load,
        },
        "rows": figures.rows.iter().map(row).collect::<Vec<_>>(),
        "stored": figures.stored.iter().map(stored).collect::<Vec<_>>(),
        "floor": figures.floor.as_ref().map(floor),
        "ciphers": figures.ciphers.iter().map(cipher).collect::<Vec<_>>(),
    })
}

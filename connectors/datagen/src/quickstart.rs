//! Ready-made fields.

/// Name, fields and key field of the ready-made records.
const QUICKSTARTS: &[(&str, &str, &str)] = &[
    (
        "users",
        "registertime:timestamp(2026-01-01,1s), userid:string(8), regionid:one(Region_1,Region_2,Region_3,Region_4,Region_5), gender:one(MALE,FEMALE,OTHER)",
        "userid",
    ),
    (
        "orders",
        "ordertime:now, orderid:seq, itemid:zipf(1000,1.1), orderunits:double(0.1,10), city:city, state:one(open,paid,shipped,done), zipcode:int(10000,99999)",
        "orderid",
    ),
    ("pageviews", "viewtime:now, userid:zipf(500,1.2), pageid:zipf(200,1.3)", "viewtime"),
    (
        "clickstream",
        "ip:one(111.152.45.45,122.145.8.244,222.245.174.248,233.245.174.220), userid:int(1,40), time:now, request:one(GET /index.html HTTP/1.1,GET /site/login.html HTTP/1.1,GET /images/track.png HTTP/1.1), status:one(200,302,404,405,406,407), bytes:int(128,16384), agent:text(2,4)",
        "ip",
    ),
    (
        "stock_trades",
        "side:one(BUY,SELL), quantity:int(1,5000), symbol:one(ZBZX,ZJZZT,ZTEST,ZVV,ZVZZT,ZWZZT,ZXZZT), price:decimal(2,5,1000), account:one(ABC123,LMN456,XYZ789), userid:zipf(100,1.1)",
        "symbol",
    ),
    (
        "transactions",
        "transaction_id:seq, card_id:zipf(500,1.1), user_id:zipf(300,1.1), purchase_id:int(0,100000), store_id:int(1,7)",
        "transaction_id",
    ),
    ("inventory", "id:seq, quantity:int(1,1000), productid:zipf(100,1.1)", "id"),
    (
        "ratings",
        "rating_id:seq, user_id:int(-1,20), stars:int(1,5), route_id:int(0,10000), rating_time:now, channel:one(web,ios,android,ios-test), message:text(3,12)",
        "rating_id",
    ),
    ("product", "id:seq, name:text(1,3), description:text(4,12), price:decimal(2,1,500)", "id"),
    (
        "purchase",
        "id:seq, item_type:one(best,popular,other), quantity:int(1,10), price_per_unit:decimal(2,1,100)",
        "id",
    ),
    (
        "sensors",
        "sensor:zipf(200,1.01), at:now, temperature:double(-20,45), humidity:nullable(double(0,100),0.05), ok:bool(0.98)",
        "sensor",
    ),
    (
        "logs",
        "id:uuid, at:now, level:one(DEBUG,INFO,INFO,INFO,WARN,ERROR), host:one(web-1,web-2,db-1,cache-1), message:text(4,16)",
        "id",
    ),
];

/// Fields and key field of a ready-made record.
pub(crate) fn quickstart(name: &str) -> Option<(&'static str, &'static str)> {
    QUICKSTARTS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).map(|(_, fields, key)| (*fields, *key))
}

/// The names there are.
pub(crate) fn names() -> String {
    QUICKSTARTS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ready_made_record_can_be_made_and_has_its_key() {
        for (name, fields, key) in QUICKSTARTS {
            let fields = crate::fields::parse(fields).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert!(fields.iter().any(|field| &*field.name == *key), "{name}");
        }
    }
}

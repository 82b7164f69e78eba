//! Words to draw from.

pub(crate) const FIRST_NAMES: &[&str] = &[
    "Ada", "Amir", "Anna", "Bao", "Carla", "Chen", "Dana", "Elif", "Emil", "Fatima", "Georg", "Hana", "Ines", "Ivan",
    "Jonas", "Kaya", "Lena", "Luca", "Mei", "Mila", "Nadia", "Noah", "Olga", "Pablo", "Quinn", "Rosa", "Sami", "Tara",
    "Uwe", "Vera", "Wen", "Yara", "Zoe",
];
pub(crate) const LAST_NAMES: &[&str] = &[
    "Aydin", "Becker", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Hansen", "Ito", "Jansen", "Kim", "Kowalski",
    "Lopez", "Meyer", "Nguyen", "Okafor", "Petrov", "Rossi", "Schmidt", "Silva", "Tanaka", "Ulrich", "Vogel", "Wang",
    "Xu", "Yilmaz", "Zhang",
];
pub(crate) const CITIES: &[&str] = &[
    "Accra", "Berlin", "Bogotá", "Cairo", "Chengdu", "Dakar", "Delhi", "Graz", "Hanoi", "Istanbul", "Jakarta", "Kyiv",
    "Lagos", "Lima", "Lisbon", "Lyon", "Madrid", "Nairobi", "Osaka", "Porto", "Quito", "Riga", "Santiago", "Seoul",
    "Tunis", "Turin", "Utrecht", "Vienna", "Warsaw", "Zagreb",
];
pub(crate) const DOMAINS: &[&str] = &["example.com", "example.net", "example.org", "mail.example", "post.example"];
pub(crate) const WORDS: &[&str] = &[
    "amber", "basket", "candle", "delta", "ember", "forest", "garden", "harbor", "island", "jasmine", "kettle",
    "lantern", "meadow", "needle", "orchid", "paper", "quartz", "river", "saddle", "timber", "umbrella", "velvet",
    "willow", "yellow", "zephyr", "north", "quiet", "small", "green", "early", "round", "light",
];

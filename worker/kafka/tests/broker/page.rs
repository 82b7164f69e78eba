#[test]
fn the_page_about_properties_shows_the_table_of_the_code() {
    let page = include_str!("../../../../docs/configuration/kafka-security.md");
    let table = elasticflow_kafka::property_table();
    assert!(page.contains(&table), "docs/configuration/kafka-security.md must end with:\n{table}");
}

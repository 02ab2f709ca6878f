//! Channels are opened and closed as long as a connection lives, and some end with an error of the broker.

use hookswitch::{
    config::Secret,
    edge::amqp::{Error, connect, depth::depth},
};

use super::support::World;

/// The broker's own limit, after which lapin begins with the first number again.
const NUMBERS: usize = 2_047;

#[tokio::test]
async fn the_error_of_an_earlier_channel_is_not_taken_for_that_of_a_new_one() {
    let world = World::new().await;
    let connection = world.connect().await;
    for _ in 0..3 {
        let missing = depth(&connection, "raw.nowhere").await;
        assert!(matches!(missing, Err(Error::Missing(_))), "{missing:?}");
    }
    for n in 0..NUMBERS + 10 {
        assert_eq!(depth(&connection, "raw.salpre").await, Ok(0), "after {n} channels");
    }
}

#[tokio::test]
async fn a_connection_without_a_usable_channel_is_closed() {
    let world = World::new().await;
    let mut amqp = world.config.amqp.clone();
    amqp.urls = vec![Secret::new(format!("{}?channel_max=5", amqp.urls[0].reveal()))];
    let connection = connect(&amqp, "test").await.unwrap();
    for _ in 0..5 {
        let missing = depth(&connection, "raw.nowhere").await;
        assert!(matches!(missing, Err(Error::Missing(_))), "{missing:?}");
    }
    for _ in 0..2 {
        let closed = depth(&connection, "raw.salpre").await;
        assert!(matches!(closed, Err(Error::Lost(_))), "{closed:?}");
    }
}

//! Prints one line per hookswitch event, each event once: cargo run -- QUEUE
use std::{convert::Infallible, env, error::Error, fs, time::Duration};

use futures_util::StreamExt;
use lapin::Connection;

fn work(event: &serde_json::Value) {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    println!("{} {} {} {}", text("time"), text("type"), text("subject"), text("id"));
}

async fn consume(url: &str, queue: &str, seen: &str) -> Result<Infallible, Box<dyn Error>> {
    let channel = Connection::connect(url, Default::default()).await?.create_channel().await?;
    channel.basic_qos(100, Default::default()).await?;
    let (options, more) = Default::default();
    let mut messages = channel.basic_consume(queue.into(), "".into(), options, more).await?;
    loop {
        let message = messages.next().await.ok_or("the broker ended the subscription")??;
        let event: serde_json::Value = serde_json::from_slice(&message.data)?;
        let mark = format!("{seen}/{}", uuid::Uuid::parse_str(event["id"].as_str().ok_or("no id")?)?);
        if !fs::exists(&mark)? {
            work(&event);
            fs::write(mark, "")?;
        }
        message.ack(Default::default()).await?;
    }
}

#[tokio::main]
async fn main() -> Result<Infallible, Box<dyn Error>> {
    let url = env::var("HOOKSWITCH_AMQP_URL").unwrap_or("amqp://guest:guest@127.0.0.1:25670/%2f".into());
    let seen = env::var("SEEN").unwrap_or("seen".into()); // an empty file per event id; yours is a table
    let queue = env::args().nth(1).ok_or("usage: hookswitch-example QUEUE")?;
    fs::create_dir_all(&seen)?;
    loop {
        let Err(error) = consume(&url, &queue, &seen).await;
        eprintln!("{error}: trying again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

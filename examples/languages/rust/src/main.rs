//! When somebody speaks in a recording: client GATEWAY KEY_FILE MODEL RECORDING.wav
use std::time::{Duration, SystemTime};
use std::{env, error::Error, fs, process::ExitCode};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use tonic::{Request, transport::Channel};
use tonic_types::StatusExt;

use cabstand::hoster_service_client::HosterServiceClient;
use cabstand::{DataType, EndReason, InferenceStreamRequest, Tensor};
use cabstand::{inference_stream_response::Event, record::Body};

#[allow(clippy::all)]
mod cabstand {
    tonic::include_proto!("cabstand.v1");
}

/// Good for one server and five minutes; so long its streams may last.
fn token(key_file: &str, server: &str) -> Result<String, Box<dyn Error>> {
    let key: Value = serde_json::from_str(&fs::read_to_string(key_file)?)?;
    let seed = BASE64.decode(key["d"].as_str().ok_or("the key file has no `d`")?)?;
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 300;
    let header = json!({ "alg": "EdDSA", "kid": key["kid"] });
    let claims = json!({ "sub": key["principal"], "roles": key["roles"], "aud": server, "exp": expires });
    let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = SigningKey::try_from(&seed[..])?.sign(text.as_bytes());
    Ok(format!("{text}.{}", BASE64.encode(signature.to_bytes())))
}

async fn run(gateway: &str, key_file: &str, model: &str, recording: &str) -> Result<(), Box<dyn Error>> {
    let samples = fs::read(recording)?.split_off(44); // 16 bits each, behind the header
    let audio = Tensor {
        name: "audio".into(),
        dtype: DataType::Int16.into(),
        shape: vec![samples.len() as i64 / 2],
        data: samples,
        ..Default::default()
    };
    let mut request = Request::new(InferenceStreamRequest {
        model: model.into(),
        inputs: vec![audio],
        ..Default::default()
    });
    let bearer = format!("Bearer {}", token(key_file, gateway)?);
    request.metadata_mut().insert("authorization", bearer.parse()?);
    request.set_timeout(Duration::from_secs(120));
    let channel = Channel::from_shared(format!("http://{gateway}"))?.connect().await?;
    let mut client = HosterServiceClient::new(channel).max_decoding_message_size(16 << 20);
    let mut answers = client.rpc_inference_stream(request).await?.into_inner();
    let mut end = None;
    while let Some(answer) = answers.message().await? {
        let Some(Event::Record(record)) = answer.event else { continue };
        match record.body {
            Some(Body::Chunk(chunk)) => {
                let speech = f32::from_le_bytes(chunk.outputs[0].data[..].try_into()?);
                println!("{} {speech:.4}", record.position);
            }
            Some(Body::EndOfTurn(turn)) => end = Some(turn.reason()),
            _ => {}
        }
    }
    match end {
        Some(EndReason::Completed) => Ok(()),
        _ => Err(format!("the turn was not finished: {end:?}").into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    let Err(error) = run(&args[1], &args[2], &args[3], &args[4]).await else { return ExitCode::SUCCESS };
    let status = error.downcast_ref::<tonic::Status>();
    match status.and_then(|status| status.get_details_error_info()) {
        Some(info) => eprintln!("{}: {error}", info.reason),
        None => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}

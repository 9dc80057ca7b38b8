// When somebody speaks in a recording: dotnet run -- GATEWAY KEY_FILE MODEL RECORDING.wav
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Cabstand.V1;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

try
{
    await Run(args[0], args[1], args[2], args[3]);
    return 0;
}
catch (RpcException error)
{
    var info = error.GetRpcStatus()?.GetDetail<ErrorInfo>();
    Console.Error.WriteLine($"{info?.Reason ?? error.StatusCode.ToString()}: {error.Status.Detail}");
    return 1;
}

// Good for one server and five minutes; so long its streams may last.
static string Token(string keyFile, string server)
{
    var key = JsonNode.Parse(File.ReadAllText(keyFile))!;
    var header = new JsonObject { ["alg"] = "EdDSA", ["kid"] = (string?)key["kid"] };
    var claims = new JsonObject
    {
        ["sub"] = (string?)key["principal"],
        ["roles"] = key["roles"]!.DeepClone(),
        ["aud"] = server,
        ["exp"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 300,
    };
    static string Part(byte[] bytes) => Base64Url.EncodeToString(bytes);
    var text = $"{Part(Encoding.UTF8.GetBytes(header.ToJsonString()))}.{Part(Encoding.UTF8.GetBytes(claims.ToJsonString()))}";
    var signer = new Ed25519Signer();
    signer.Init(true, new Ed25519PrivateKeyParameters(Base64Url.DecodeFromChars((string?)key["d"])));
    signer.BlockUpdate(Encoding.UTF8.GetBytes(text), 0, text.Length);
    return $"{text}.{Part(signer.GenerateSignature())}";
}

static async Task Run(string gateway, string keyFile, string model, string recording)
{
    var samples = File.ReadAllBytes(recording)[44..]; // 16 bits each, behind the header
    var audio = new Tensor { Name = "audio", Dtype = DataType.Int16, Data = ByteString.CopyFrom(samples) };
    audio.Shape.Add(samples.Length / 2);
    var request = new InferenceStreamRequest { Model = model, Inputs = { audio } };
    using var channel = GrpcChannel.ForAddress(
        $"http://{gateway}", new GrpcChannelOptions { MaxReceiveMessageSize = 16 << 20 });
    using var call = new HosterService.HosterServiceClient(channel).rpc_inference_stream(
        request,
        new Metadata { { "authorization", $"Bearer {Token(keyFile, gateway)}" } },
        DateTime.UtcNow.AddSeconds(120));
    EndOfTurn? end = null;
    await foreach (var answer in call.ResponseStream.ReadAllAsync())
    {
        if (answer.Record?.Chunk is { } chunk)
        {
            var speech = BitConverter.ToSingle(chunk.Outputs[0].Data.Span);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{answer.Record.Position} {speech:F4}"));
        }
        end = answer.Record?.EndOfTurn ?? end;
    }
    if (end?.Reason != EndReason.Completed) throw new IOException($"the turn was not finished: {end}");
}

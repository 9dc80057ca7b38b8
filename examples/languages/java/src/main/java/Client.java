import com.cabstand.v1.*;
import com.cabstand.v1.Record; // java.lang has one, too
import com.google.gson.*;
import com.google.protobuf.ByteString;
import com.google.rpc.ErrorInfo;
import io.grpc.*;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.nio.ByteOrder;
import java.nio.file.*;
import java.security.*;
import java.security.spec.*;
import java.util.*;
import java.util.concurrent.TimeUnit;

/** When somebody speaks in a recording: Client GATEWAY KEY_FILE MODEL RECORDING.wav */
public final class Client {
  /** Good for one server and five minutes; so long its streams may last. */
  private static String token(String keyFile, String server) throws Exception {
    JsonObject key = JsonParser.parseString(Files.readString(Path.of(keyFile))).getAsJsonObject();
    Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
    String header = String.format("{\"alg\":\"EdDSA\",\"kid\":%s}", key.get("kid"));
    String claims = String.format("{\"sub\":%s,\"roles\":%s,\"aud\":\"%s\",\"exp\":%d}",
        key.get("principal"), key.get("roles"), server, System.currentTimeMillis() / 1000 + 300);
    String text =
        base64.encodeToString(header.getBytes()) + "." + base64.encodeToString(claims.getBytes());
    byte[] seed = Base64.getUrlDecoder().decode(key.get("d").getAsString());
    var secret = new EdECPrivateKeySpec(NamedParameterSpec.ED25519, seed);
    Signature signature = Signature.getInstance("Ed25519");
    signature.initSign(KeyFactory.getInstance("Ed25519").generatePrivate(secret));
    signature.update(text.getBytes());
    return text + "." + base64.encodeToString(signature.sign());
  }

  private static void run(String gateway, String keyFile, String model, String recording)
      throws Exception {
    byte[] wav = Files.readAllBytes(Path.of(recording));
    var samples = ByteString.copyFrom(wav, 44, wav.length - 44); // 16 bits each, behind the header
    var audio = Tensor.newBuilder().setName("audio").setDtype(DataType.DATA_TYPE_INT16)
        .addShape(samples.size() / 2).setData(samples);
    var request = InferenceStreamRequest.newBuilder().setModel(model).addInputs(audio).build();
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + token(keyFile, gateway));
    ManagedChannel channel = Grpc.newChannelBuilder(gateway, InsecureChannelCredentials.create())
        .maxInboundMessageSize(16 << 20).build();
    Record last = Record.getDefaultInstance();
    try {
      var answers = HosterServiceGrpc.newBlockingStub(channel)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
          .withDeadlineAfter(120, TimeUnit.SECONDS)
          .rpcInferenceStream(request);
      while (answers.hasNext()) {
        InferenceStreamResponse answer = answers.next();
        if (answer.hasRecord()) last = answer.getRecord();
        if (!answer.hasRecord() || !last.hasChunk()) continue;
        var data = last.getChunk().getOutputs(0).getData().asReadOnlyByteBuffer();
        System.out.printf(Locale.ROOT, "%d %.4f%n",
            last.getPosition(), data.order(ByteOrder.LITTLE_ENDIAN).getFloat());
      }
    } finally {
      channel.shutdownNow();
    }
    if (last.getEndOfTurn().getReason() != EndReason.END_REASON_COMPLETED)
      throw new IllegalStateException("the turn was not finished: " + last);
  }

  public static void main(String[] args) throws Exception {
    try {
      run(args[0], args[1], args[2], args[3]);
    } catch (StatusRuntimeException error) {
      String reason = error.getStatus().getCode().name();
      for (var detail : StatusProto.fromThrowable(error).getDetailsList())
        if (detail.is(ErrorInfo.class)) reason = detail.unpack(ErrorInfo.class).getReason();
      System.err.println(reason + ": " + error.getStatus().getDescription());
      System.exit(1);
    }
  }
}

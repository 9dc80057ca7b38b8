import com.cabstand.v1.AcquireRequest;
import com.cabstand.v1.EndReason;
import com.cabstand.v1.HosterServiceGrpc;
import com.cabstand.v1.InferenceStreamRequest;
import com.cabstand.v1.InferenceStreamResponse;
import com.cabstand.v1.Lease;
// By its name: java.lang has a Record of its own.
import com.cabstand.v1.Record;
import com.cabstand.v1.RouterServiceGrpc;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;

/**
 * Asks a subnet with stubs that were just made of proto/, beside the packages that hold google.rpc,
 * grpc.health.v1 and reflection for everybody else.
 */
public final class Stubs {
  private static final long SECONDS = 20;

  private final Metadata headers = new Metadata();

  private Stubs(String token) {
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
  }

  public static void main(String[] args) throws Exception {
    if (args.length != 2) throw new IllegalArgumentException("usage: Stubs ROUTER TOKEN");
    Stubs stubs = new Stubs(args[1]);
    ManagedChannel router = dial(args[0]);
    try {
      Lease lease = stubs.acquire(router);
      ManagedChannel hoster = dial(lease.getNode().getAddress());
      try {
        System.out.println(stubs.stream(hoster, lease.getTicket()));
      } finally {
        hoster.shutdownNow();
      }
    } finally {
      router.shutdownNow();
    }
  }

  private static ManagedChannel dial(String address) {
    return Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
  }

  private Channel as(ManagedChannel channel) {
    return ClientInterceptors.intercept(
        channel, MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  private Lease acquire(ManagedChannel channel) throws Exception {
    var router =
        RouterServiceGrpc.newBlockingStub(as(channel)).withDeadlineAfter(SECONDS, TimeUnit.SECONDS);
    String reason = "nothing";
    try {
      router.rpcAcquire(AcquireRequest.newBuilder().setModel("nobody-has-this").build());
    } catch (StatusRuntimeException error) {
      reason = reasonOf(error);
    }
    expect(reason, "MODEL_UNKNOWN");
    return router.rpcAcquire(AcquireRequest.newBuilder().setModel("g2p").build()).getLease();
  }

  private String stream(ManagedChannel channel, String ticket) {
    var health = HealthGrpc.newBlockingStub(channel).withDeadlineAfter(SECONDS, TimeUnit.SECONDS);
    String service = HosterServiceGrpc.SERVICE_NAME;
    var checked = health.check(HealthCheckRequest.newBuilder().setService(service).build());
    expect(checked.getStatus(), HealthCheckResponse.ServingStatus.SERVING);

    Iterator<InferenceStreamResponse> answers =
        HosterServiceGrpc.newBlockingStub(as(channel))
            .withDeadlineAfter(SECONDS, TimeUnit.SECONDS)
            .rpcInferenceStream(
                InferenceStreamRequest.newBuilder()
                    .setModel("g2p")
                    .setPrompt("tokenizer")
                    .setTicket(ticket)
                    .build());
    StringBuilder text = new StringBuilder();
    long position = 0;
    Record last = Record.getDefaultInstance();
    while (answers.hasNext()) {
      InferenceStreamResponse answer = answers.next();
      if (!answer.hasRecord()) continue;
      last = answer.getRecord();
      expect(last.getPosition(), position++);
      text.append(last.getChunk().getText());
    }
    expect(last.getEndOfTurn().getReason(), EndReason.END_REASON_COMPLETED);
    return text.toString();
  }

  /** What Cabstand says of a refusal. */
  private static String reasonOf(StatusRuntimeException error) throws Exception {
    Status status = StatusProto.fromThrowable(error);
    for (var detail : status.getDetailsList())
      if (detail.is(ErrorInfo.class)) return detail.unpack(ErrorInfo.class).getReason();
    return "none: " + error;
  }

  private static void expect(Object got, Object expected) {
    if (!got.equals(expected))
      throw new AssertionError("got " + got + ", expected " + expected);
  }
}

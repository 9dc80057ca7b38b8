/**
 * The least that a stream of frames costs with grpc-js: bytes come in, and for each frame the bytes of a record go
 * out. Nothing is decoded, checked, kept or computed. Usage: node echo.js PORT
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { HosterService } from '@cabstand/rpc';

/** The first byte of a SessionStreamRequest that has LiveInput (field 4). */
const LIVE_INPUT = (4 << 3) | 2;

const same = (bytes: Buffer): Buffer => bytes;
const method = HosterService.rpc_session_stream;
/** What a hoster answers in the middle of a stream. */
const record = method.response.encode({
  record: {
    position: 1000,
    chunk: {
      outputs: [
        {
          name: 'speech_probability',
          dtype: 'DATA_TYPE_FLOAT32',
          shape: [1, 1],
          data: Buffer.alloc(4),
        },
      ],
    },
  },
});

const server = new Server();
server.addService(
  {
    Echo: {
      path: method.info.path,
      requestStream: true,
      responseStream: true,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    Echo(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (message: Buffer) => {
        if (message[0] === LIVE_INPUT) call.write(record);
      });
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    },
  },
);
server.bindAsync(
  `127.0.0.1:${String(process.argv[2])}`,
  ServerCredentials.createInsecure(),
  (error) => {
    if (error !== null) throw error;
  },
);

import { methodsOf } from './methods';
import { loadProto } from './proto';

/** grpc.health.v1.HealthCheckResponse.ServingStatus */
export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

export interface HealthCheckRequest {
  /** Empty: the whole server. */
  readonly service?: string;
}

export interface HealthCheckResponse {
  readonly status: ServingStatus;
}

export interface HealthListResponse {
  readonly statuses: Readonly<Record<string, HealthCheckResponse>>;
}

/** grpc.health.v1 with descriptors (for reflection). */
export const healthDefinition = loadProto(['grpc/health/v1/health.proto']);

const health = methodsOf(healthDefinition, 'grpc.health.v1.Health');

type Check = Required<HealthCheckRequest>;

/** grpc.health.v1.Health */
export const HealthService = {
  Check: health<'unary', HealthCheckRequest, Check, HealthCheckResponse, HealthCheckResponse>(
    'Check',
    'unary',
  ),
  Watch: health<
    'server_stream',
    HealthCheckRequest,
    Check,
    HealthCheckResponse,
    HealthCheckResponse
  >('Watch', 'server_stream'),
  List: health<'unary', object, object, HealthListResponse, HealthListResponse>('List', 'unary'),
} as const;

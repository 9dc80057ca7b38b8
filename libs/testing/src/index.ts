export { Child } from './child';
export type { Exit } from './child';
export { FaultProxy } from './proxy/proxy';
export type { Direction, Injection, NetFault, NetFaultOptions } from './proxy/faults';
export { freePortRange, freePorts } from './free-ports';
export { scrape, total } from './metrics';
export { BUNDLED_MODELS, REPOSITORY_ROOT, Subnet, TEST_MODELS } from './subnet';
export type { Service, SubnetOptions } from './subnet';
export { until } from './until';

export { gatewayProgram } from './program';

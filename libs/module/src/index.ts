/**
 * Types for authors of modules: docs/modules.md. There is no code in this package, so that a module needs
 * nothing of it when it runs: import it with `import type`.
 */
export type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-node';
export type { Command, CommandError, Commands, JsonSchema, StandardSchema } from './command';
export type {
  EmitOptions,
  Log,
  LogFields,
  SessionContext,
  StopReason,
  Tensors,
  Turn,
} from './context';
export type { Module, ModuleClass, ModuleEnvironment, SessionEnd } from './module';

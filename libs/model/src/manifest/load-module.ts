/** The manifest of a module: what its author's code does not say itself, checked and with every default. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checkInput, checkParameters } from './check';
import { normaliseInput, roomFor } from './normalise';
import { normaliseParameters } from './normalise-generation';
import type { Report } from './problems';
import type { ModuleProgram } from './program';
import type { WrittenModule } from './schema-module';
import type { ModelSignature, SessionTraits } from './signature';
import type { Manifest } from './types';

/** Where a module was found, and what is known of it beside its manifest. */
export type ModulePlace = Pick<
  Manifest,
  'name' | 'folder' | 'file' | 'version' | 'variant' | 'digest'
>;

/** @param report is told of everything that is wrong; the manifest is of use where nothing is. */
export async function loadModule(
  written: WrittenModule,
  place: ModulePlace,
  report: Report,
): Promise<Manifest> {
  const folder = join(place.folder, place.version);
  const file = join(folder, written.module);
  if ((await stat(file).catch(() => undefined))?.isFile() !== true)
    report('module', written.module, `the author's file; there is no ${file}`);
  const manifest: Manifest = {
    ...place,
    ...signatureOf(written, report),
    notes: [],
    provenance: written.provenance,
    providers: [...new Set(written.providers)],
    graphs: [],
    dims: {},
    state: [],
    generation: undefined,
    batching: { class: 'unbatched', maxBatch: 1 },
    golden: { file: undefined, atol: 0, rtol: 0 },
    module: programOf(written, folder, file),
  };
  if (written.live && manifest.inputs.length === 0)
    report('live', true, 'inputs, of which callers send parts');
  for (const input of manifest.inputs) checkInput(input, manifest.limits.maxInputBytes, report);
  checkParameters(manifest.parameters, report);
  checkMessages(written, report);
  return manifest;
}

function signatureOf(
  written: WrittenModule,
  report: Report,
): Omit<ModelSignature, 'name' | 'version' | 'digest'> {
  const inputs = Object.entries(written.inputs).map(([name, input]) =>
    normaliseInput(name, input, {}, []),
  );
  return {
    kind: 'module',
    description: written.description,
    inputs,
    outputs: Object.entries(written.outputs).map(([name, { description, labels }]) => ({
      name,
      description,
      labels,
    })),
    parameters: normaliseParameters(written, undefined, report),
    text: { input: undefined, output: undefined },
    limits: {
      maxInputBytes: written.limits.max_input_bytes ?? roomFor(inputs),
      // No tokens are counted.
      maxSequenceLength: Number.MAX_SAFE_INTEGER,
      maxStateBytes: undefined,
    },
    takesPrompt: written.prompt,
    takesLiveInput: written.live,
    // The author's code is given them before any graph.
    takesEmpty: true,
    framed: [],
    rows: [],
    sessions: sessionsOf(written),
  };
}

function sessionsOf({ sessions, survival, messages, limits }: WrittenModule): SessionTraits {
  return {
    exclusive: sessions === 'exclusive',
    survival,
    messages,
    sessionSeconds: limits.session_seconds,
    stopGraceSeconds: limits.stop_grace_seconds,
    commandsWaiting: limits.commands_waiting,
    commandBytes: limits.command_bytes,
    resultBytes: limits.result_bytes,
    messageBytes: Math.max(limits.message_bytes, limits.record_value_bytes),
    replayRecords: limits.replay_records,
  };
}

function programOf(written: WrittenModule, folder: string, file: string): ModuleProgram {
  const { limits } = written;
  return {
    kind: 'module',
    file,
    folder,
    config: written.config,
    survival: written.survival,
    replayCheck: written.replay_check,
    outputs: Object.entries(written.outputs).map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape: shape.map((size) => (typeof size === 'number' ? size : -1)),
    })),
    silentSeconds: limits.silent_seconds,
    stopGraceSeconds: limits.stop_grace_seconds,
    heapMb: limits.heap_mb,
    commandBytes: limits.command_bytes,
    messageBytes: limits.message_bytes,
    recordValueBytes: limits.record_value_bytes,
    resultBytes: limits.result_bytes,
    uncommittedRecords: limits.uncommitted_records,
    uncommittedBytes: limits.uncommitted_bytes,
    stateBytes: limits.state_bytes,
  };
}

/** A schema that cannot be read would be found when the first message is sent. */
function checkMessages({ messages }: WrittenModule, report: Report): void {
  for (const [name, schema] of Object.entries(messages))
    try {
      z.fromJSONSchema(schema);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      report(`messages.${name}`, schema, `a JSON schema: ${why}`);
    }
}

#!/usr/bin/env node
import { runService } from '@cabstand/service';
import { hosterProgram } from './program';

void runService(hosterProgram);

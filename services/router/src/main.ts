import { runService } from '@cabstand/service';
import { routerProgram } from './program';

void runService(routerProgram);

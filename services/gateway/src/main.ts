import { runService } from '@cabstand/service';
import { gatewayProgram } from './program';

void runService(gatewayProgram);

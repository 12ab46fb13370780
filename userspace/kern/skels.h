/* The BPF objects, built into the binary (build/gen/). One line an OBJECT of programs.def. */
#include "connect.skel.h"
#include "dns.skel.h"
#include "egress.skel.h"
#include "exec.skel.h"
#include "origin.skel.h"
#include "peername.skel.h"
#include "quic.skel.h"

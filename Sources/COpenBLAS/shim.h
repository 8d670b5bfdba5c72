#include <cblas.h>
#include <stdlib.h>

// Builds of OpenBLAS that carry kernels for several processors export these two: the first forgets
// which were chosen, the second chooses, by OPENBLAS_CORETYPE where it is set. Others lack them.
extern void gotoblas_dynamic_quit(void) __attribute__((weak));
extern void gotoblas_dynamic_init(void) __attribute__((weak));

// Chooses the kernels of this name; does nothing where there is no choice. Not while products run.
static inline void openblas_choose_core(const char *name) {
  if (!gotoblas_dynamic_quit || !gotoblas_dynamic_init) return;
  setenv("OPENBLAS_CORETYPE", name, 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv("OPENBLAS_CORETYPE");
}

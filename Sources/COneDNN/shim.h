// What this project asks of oneDNN, alike for its versions 2 (Debian 12) and 3, whose C interfaces
// differ: products of bfloat16 matrices with float32 sums, compiled for a shape.
#include <dnnl.h>
#include <dlfcn.h>
#include <stdlib.h>

// A product for one shape: C [m, n] = A [m, k] B [k, n] + beta C, of any strides.
typedef struct {
  dnnl_primitive_t primitive;
  dnnl_memory_desc_t a, b, c, scratch;
  // Bytes of working memory that a run needs.
  size_t scratch_bytes;
} bf16_product;

typedef struct {
  long rows, columns, row_stride, column_stride;
} bf16_layout;

#if DNNL_VERSION_MAJOR >= 3
#define BF16_REFERENCE(description) (description)
#else
#define BF16_REFERENCE(description) (&(description))
#endif

static inline dnnl_status_t bf16_describe(
    dnnl_memory_desc_t *description, bf16_layout layout, dnnl_data_type_t type) {
  dnnl_dims_t dims = {layout.rows, layout.columns};
  dnnl_dims_t strides = {layout.row_stride, layout.column_stride};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(description, 2, dims, type, strides);
#else
  return dnnl_memory_desc_init_by_strides(description, 2, dims, type, strides);
#endif
}

// Whether the processor multiplies bfloat16 itself, as far as the library would use it.
static inline int bf16_in_hardware(void) {
  unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
  return (isa & (unsigned)dnnl_cpu_isa_avx512_core_bf16) == (unsigned)dnnl_cpu_isa_avx512_core_bf16;
}

// The calling thread's products use no threads but itself.
static inline void bf16_single_thread(void) {
  // In libgomp or libomp, whichever the library brought along.
  void (*set_threads)(int) = (void (*)(int))dlsym(NULL, "omp_set_num_threads");
  if (set_threads) set_threads(1);
}

static inline void bf16_product_destroy(bf16_product *product) {
  if (product->primitive) dnnl_primitive_destroy(product->primitive);
#if DNNL_VERSION_MAJOR >= 3
  if (product->a) dnnl_memory_desc_destroy(product->a);
  if (product->b) dnnl_memory_desc_destroy(product->b);
  if (product->c) dnnl_memory_desc_destroy(product->c);
  if (product->scratch) dnnl_memory_desc_destroy(product->scratch);
#endif
}

// Compiles a product; on failure nothing is left of it.
static inline dnnl_status_t bf16_product_create(
    bf16_product *product, dnnl_engine_t engine, bf16_layout a, bf16_layout b, bf16_layout c,
    float beta) {
  *product = (bf16_product){0};
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_post_ops_t sum = NULL;
  dnnl_primitive_desc_t description = NULL;
  dnnl_status_t status = bf16_describe(&product->a, a, dnnl_bf16);
  if (!status) status = bf16_describe(&product->b, b, dnnl_bf16);
  if (!status) status = bf16_describe(&product->c, c, dnnl_f32);
  if (!status) status = dnnl_primitive_attr_create(&attributes);
  if (!status)
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  if (!status && beta != 0) {
    status = dnnl_post_ops_create(&sum);
#if DNNL_VERSION_MAJOR >= 3
    if (!status) status = dnnl_post_ops_append_sum(sum, beta, 0, dnnl_data_type_undef);
#else
    if (!status) status = dnnl_post_ops_append_sum(sum, beta);
#endif
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  if (!status)
    status = dnnl_matmul_primitive_desc_create(
        &description, engine, product->a, product->b, NULL, product->c, attributes);
#else
  dnnl_matmul_desc_t operation;
  if (!status)
    status = dnnl_matmul_desc_init(&operation, &product->a, &product->b, NULL, &product->c);
  if (!status)
    status = dnnl_primitive_desc_create(&description, &operation, attributes, engine, NULL);
#endif
  if (!status) status = dnnl_primitive_create(&product->primitive, description);
  if (!status) {
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_memory_desc_clone(
        &product->scratch, dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0));
#else
    product->scratch = *dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
#endif
    product->scratch_bytes = dnnl_memory_desc_get_size(BF16_REFERENCE(product->scratch));
  }
  if (description) dnnl_primitive_desc_destroy(description);
  if (sum) dnnl_post_ops_destroy(sum);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  if (status) bf16_product_destroy(product);
  return status;
}

// Runs a product on the calling thread. `scratch` has `scratch_bytes`, at a multiple of 64.
static inline dnnl_status_t bf16_product_run(
    const bf16_product *product, dnnl_engine_t engine, const void *a, const void *b, float *c,
    void *scratch) {
  dnnl_stream_t stream = NULL;
  dnnl_memory_t memories[4] = {NULL, NULL, NULL, NULL};
  dnnl_status_t status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  if (!status)
    status = dnnl_memory_create(&memories[0], BF16_REFERENCE(product->a), engine, (void *)a);
  if (!status)
    status = dnnl_memory_create(&memories[1], BF16_REFERENCE(product->b), engine, (void *)b);
  if (!status) status = dnnl_memory_create(&memories[2], BF16_REFERENCE(product->c), engine, c);
  if (!status)
    status = dnnl_memory_create(&memories[3], BF16_REFERENCE(product->scratch), engine, scratch);
  if (!status) {
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, memories[0]},
        {DNNL_ARG_WEIGHTS, memories[1]},
        {DNNL_ARG_DST, memories[2]},
        {DNNL_ARG_SCRATCHPAD, memories[3]}};
    status = dnnl_primitive_execute(product->primitive, stream, 4, arguments);
  }
  if (!status) status = dnnl_stream_wait(stream);
  for (int i = 0; i < 4; i++)
    if (memories[i]) dnnl_memory_destroy(memories[i]);
  if (stream) dnnl_stream_destroy(stream);
  return status;
}

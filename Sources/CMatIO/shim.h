#include <H5Epublic.h>
#include <matio.h>
